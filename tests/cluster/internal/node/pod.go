// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"weir.test/cluster/internal/cgroup"
)

// worker is the life of one pod, from binding to removal.
type worker struct {
	node *node
	key  string // namespace/name, for messages
	dir  string // the pod's state on disk

	net        *podNetwork // nil until it is made
	tokens     map[string]token
	containers []*container // init containers first
	inits      int          // how many of them

	stopping context.Context // ends when the pod is to stop
	stop     context.CancelFunc
	dirty    chan struct{} // the status may have changed

	mu      sync.Mutex
	object  *corev1.Pod
	gone    bool // the object was deleted without waiting for us
	waiting string
	message string
	started metav1.Time
	volumes map[string]string // volume name → directory or file of this machine
	done    bool              // every container ended for good
}

func newWorker(n *node, pod *corev1.Pod) *worker {
	w := &worker{
		node: n, key: pod.Namespace + "/" + pod.Name, object: pod,
		dir:     filepath.Join(n.cfg.StateDir, "pods", string(pod.UID)),
		volumes: map[string]string{}, tokens: map[string]token{},
		dirty: make(chan struct{}, 1), waiting: "ContainerCreating", started: metav1.Now(),
	}
	for i := range pod.Spec.InitContainers {
		w.containers = append(w.containers, newContainer(w, &pod.Spec.InitContainers[i]))
	}
	w.inits = len(w.containers)
	for i := range pod.Spec.Containers {
		w.containers = append(w.containers, newContainer(w, &pod.Spec.Containers[i]))
	}
	w.stopping, w.stop = context.WithCancel(context.Background())
	return w
}

func (w *worker) pod() *corev1.Pod {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.object
}

// update takes a newer version of the object; a deletion time starts the end.
func (w *worker) update(pod *corev1.Pod) {
	w.mu.Lock()
	w.object = pod
	w.mu.Unlock()
	if pod.DeletionTimestamp != nil {
		w.stop()
	}
}

// remove ends the pod of an object that is gone already.
func (w *worker) remove() {
	w.mu.Lock()
	w.gone = true
	w.mu.Unlock()
	w.stop()
}

func (w *worker) changed() {
	select {
	case w.dirty <- struct{}{}:
	default:
	}
}

func (w *worker) hostname() string {
	pod := w.pod()
	switch {
	case pod.Spec.HostNetwork:
		return w.node.cfg.Name
	case pod.Spec.Hostname != "":
		return pod.Spec.Hostname
	}
	return pod.Name
}

func (w *worker) volumeDir(name string) string { return filepath.Join(w.dir, "volumes", name) }

// run is the whole life of the pod.
func (w *worker) run(ctx context.Context) {
	publishing, stopPublishing := context.WithCancel(ctx)
	published := make(chan struct{})
	go func() {
		w.publishLoop(publishing)
		close(published)
	}()
	if phase := w.pod().Status.Phase; phase != corev1.PodSucceeded && phase != corev1.PodFailed {
		w.live()
	}
	<-w.stopping.Done()
	stopPublishing()
	<-published
	w.cleanUp()
	w.deleteObject(ctx)
}

// live sets the pod up, runs its containers and returns when all of them ended.
func (w *worker) live() {
	w.changed()
	pause := 50 * time.Millisecond
	for {
		err := w.setUp(w.stopping)
		if err == nil {
			break
		}
		w.mu.Lock()
		w.message = err.Error()
		w.mu.Unlock()
		w.changed()
		klog.InfoS("Pod waits", "pod", w.key, "why", err)
		if !wait(w.stopping, pause) {
			return
		}
		pause = min(2*pause, time.Second)
	}
	go w.refreshVolumes(w.stopping)
	for _, c := range w.containers[:w.inits] {
		if ok := c.runInit(w.stopping); !ok {
			w.finish()
			return
		}
	}
	var running sync.WaitGroup
	for _, c := range w.containers[w.inits:] {
		running.Go(func() { c.run(w.stopping) })
	}
	running.Wait()
	w.finish()
}

func (w *worker) finish() {
	w.mu.Lock()
	w.done = true
	w.mu.Unlock()
	w.changed()
}

// setUp makes network, volumes and files; it is repeated until all of it succeeds.
func (w *worker) setUp(ctx context.Context) error {
	for _, c := range w.containers {
		image, err := w.node.images.lookup(c.spec.Image)
		if err != nil {
			w.because("ErrImageNeverPull")
			return err
		}
		c.image = image
	}
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		return err
	}
	w.because("ContainerCreating")
	if w.net == nil {
		pod := w.pod()
		created := &podNetwork{path: w.node.cfg.NetNS, ips: w.node.cfg.IPs}
		if !pod.Spec.HostNetwork {
			var err error
			if created, err = w.node.net.create(pod.Namespace, pod.Name, string(pod.UID)); err != nil {
				return err
			}
		}
		w.mu.Lock()
		w.net = created
		w.mu.Unlock()
	}
	if err := w.prepareVolumes(ctx); err != nil {
		return err
	}
	return w.writeEtc()
}

// because sets the reason that waiting containers show.
func (w *worker) because(reason string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = reason
}

func (w *worker) cleanUp() {
	w.node.net.remove(w.net)
	cgroup.Remove(w.cgroup())
	if err := os.RemoveAll(w.dir); err != nil {
		klog.ErrorS(err, "Removing the pod's directory", "pod", w.key)
	}
}

// deleteObject is the kubelet's last word: the pod is really gone.
func (w *worker) deleteObject(ctx context.Context) {
	w.mu.Lock()
	gone, pod := w.gone, w.object
	w.mu.Unlock()
	if gone {
		return
	}
	zero := int64(0)
	err := w.node.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, metav1.DeleteOptions{
		GracePeriodSeconds: &zero, Preconditions: &metav1.Preconditions{UID: &pod.UID},
	})
	if err != nil && ctx.Err() == nil {
		klog.InfoS("Deleting the pod object", "pod", w.key, "err", err)
	}
}

// gracePeriod is how long containers have between SIGTERM and SIGKILL.
func (w *worker) gracePeriod() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.gone:
		return 0
	case w.object.DeletionGracePeriodSeconds != nil:
		return time.Duration(*w.object.DeletionGracePeriodSeconds) * time.Second
	case w.object.Spec.TerminationGracePeriodSeconds != nil:
		return time.Duration(*w.object.Spec.TerminationGracePeriodSeconds) * time.Second
	}
	return 30 * time.Second
}

// SPDX-License-Identifier: Apache-2.0

// Package node is a stand-in for kubelet: it runs pods as processes of this machine, each pod in its own network
// namespace, without images or a container engine. It is a test rig, not a security boundary.
package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	coordv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"weir.test/cluster/internal/cgroup"
)

const (
	version        = "v1.36.3"
	kubeletPort    = 10250
	leaseNamespace = "kube-node-lease"
)

// Config is what a node is started with. The process must run in the node's network namespace.
type Config struct {
	Cluster    string   // name of the cluster, prefix of network namespaces and cgroups
	Name       string   // of the Node object
	IPs        []string // its InternalIPs, IPv4 first
	PodCIDRs   []string // IPv4 first
	Cgroup     string   // of everything on the node; pods are below kubepods
	BPF        string   // directory that hostPath volumes see as /sys/fs/bpf
	NetNS      string   // path of the node's network namespace
	StateDir   string   // of this node
	BinDir     string   // where podinit and the image table's programs are
	Images     string   // image table
	Kubeconfig string
	APIServer  string // host:port told to pods
}

type node struct {
	cfg    Config
	client kubernetes.Interface
	images *images
	net    *network
	cgroup string // of this node's pods

	mu      sync.Mutex
	workers map[types.UID]*worker
}

// Run registers the node and runs its pods until ctx ends; then every pod is killed.
func Run(ctx context.Context, cfg Config) error {
	rest, err := clientcmd.BuildConfigFromFlags("", cfg.Kubeconfig)
	if err != nil {
		return err
	}
	rest.QPS, rest.UserAgent = -1, "rig-node/"+cfg.Name
	n := &node{cfg: cfg, workers: map[types.UID]*worker{}}
	if n.client, err = kubernetes.NewForConfig(rest); err != nil {
		return err
	}
	if n.images, err = loadImages(cfg.Images, cfg.BinDir); err != nil {
		return err
	}
	if n.net, err = newNetwork(cfg.Cluster, n.hostPath(cniCache), cfg.IPs, cfg.PodCIDRs); err != nil {
		return err
	}
	if err := n.prepareDirs(); err != nil {
		return err
	}
	if err := n.serve(ctx); err != nil {
		return err
	}
	if err := n.register(ctx); err != nil {
		return err
	}
	go n.renewLease(ctx)

	services := informers.NewSharedInformerFactory(n.client, 0)
	if err := serveDNS(ctx, services, gateway4+":53"); err != nil {
		return err
	}
	services.Start(ctx.Done())

	pods := informers.NewSharedInformerFactoryWithOptions(n.client, 0, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", cfg.Name).String()
	}))
	_, err = pods.Core().V1().Pods().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    func(obj any) { n.podChanged(ctx, obj.(*corev1.Pod)) },
		UpdateFunc: func(_, obj any) { n.podChanged(ctx, obj.(*corev1.Pod)) },
		DeleteFunc: func(obj any) {
			if gone, ok := obj.(cache.DeletedFinalStateUnknown); ok {
				obj = gone.Obj
			}
			n.podGone(obj.(*corev1.Pod))
		},
	})
	if err != nil {
		return err
	}
	pods.Start(ctx.Done())
	klog.InfoS("Node runs", "name", cfg.Name, "ips", cfg.IPs, "pods", cfg.PodCIDRs)
	<-ctx.Done()
	n.killAll()
	return nil
}

// prepareDirs ends what an earlier run of this node left behind and makes its directories.
func (n *node) prepareDirs() error {
	n.cgroup = filepath.Join(n.cfg.Cgroup, "kubepods")
	n.killAll()
	if err := os.RemoveAll(filepath.Join(n.hostPath(cniCache), "results")); err != nil {
		return err
	}
	for _, dir := range []string{n.cgroup, n.cfg.BPF, filepath.Join(n.cfg.StateDir, "pods")} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	return nil
}

func (n *node) killAll() { cgroup.Remove(n.cgroup) }

// hostPath maps a hostPath volume to this machine. Several nodes share the machine, so what is "the node's" own is
// mapped: its cgroup tree, a bpffs, /run and /var.
func (n *node) hostPath(path string) string {
	path = filepath.Clean(path)
	for _, own := range []struct{ prefix, here string }{
		{"/sys/fs/cgroup/", n.cfg.Cgroup},
		{"/sys/fs/bpf/", n.cfg.BPF},
		{"/run/", filepath.Join(n.cfg.StateDir, "run")},
		{"/var/run/", filepath.Join(n.cfg.StateDir, "run")},
		{"/var/", filepath.Join(n.cfg.StateDir, "var")},
	} {
		if rest, ok := strings.CutPrefix(path+"/", own.prefix); ok {
			return filepath.Join(own.here, rest)
		}
	}
	return path
}

func (n *node) register(ctx context.Context) error {
	size := corev1.ResourceList{
		corev1.ResourceCPU:    resource.MustParse("64"),
		corev1.ResourceMemory: resource.MustParse("64Gi"),
		corev1.ResourcePods:   resource.MustParse("240"),
	}
	object := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.cfg.Name, Labels: map[string]string{
			corev1.LabelHostname: n.cfg.Name, corev1.LabelOSStable: "linux", corev1.LabelArchStable: "amd64",
		}},
		Spec: corev1.NodeSpec{PodCIDR: n.cfg.PodCIDRs[0], PodCIDRs: n.cfg.PodCIDRs},
	}
	nodes := n.client.CoreV1().Nodes()
	created, err := nodes.Create(ctx, object, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) { // the node comes back
		created, err = nodes.Get(ctx, n.cfg.Name, metav1.GetOptions{})
	}
	if err != nil {
		return err
	}
	now := metav1.Now()
	condition := func(kind corev1.NodeConditionType, status corev1.ConditionStatus, reason string) corev1.NodeCondition {
		return corev1.NodeCondition{Type: kind, Status: status, Reason: reason, LastHeartbeatTime: now, LastTransitionTime: now}
	}
	created.Status = corev1.NodeStatus{
		Capacity: size, Allocatable: size,
		Addresses: []corev1.NodeAddress{
			{Type: corev1.NodeInternalIP, Address: n.cfg.IPs[0]}, {Type: corev1.NodeInternalIP, Address: n.cfg.IPs[1]},
			{Type: corev1.NodeHostName, Address: n.cfg.Name},
		},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: kubeletPort}},
		NodeInfo:        corev1.NodeSystemInfo{KubeletVersion: version, OperatingSystem: "linux", Architecture: "amd64"},
		Conditions: []corev1.NodeCondition{
			condition(corev1.NodeReady, corev1.ConditionTrue, "KubeletReady"),
			condition(corev1.NodeMemoryPressure, corev1.ConditionFalse, "KubeletHasSufficientMemory"),
			condition(corev1.NodeDiskPressure, corev1.ConditionFalse, "KubeletHasNoDiskPressure"),
			condition(corev1.NodePIDPressure, corev1.ConditionFalse, "KubeletHasSufficientPID"),
		},
	}
	_, err = nodes.UpdateStatus(ctx, created, metav1.UpdateOptions{})
	return err
}

// renewLease is the node's heartbeat; when the process dies the node turns NotReady after a while (KCM's default: 50 s), as a real
// one does.
func (n *node) renewLease(ctx context.Context) {
	leases := n.client.CoordinationV1().Leases(leaseNamespace)
	seconds := int32(40)
	for {
		now := metav1.NowMicro()
		lease, err := leases.Get(ctx, n.cfg.Name, metav1.GetOptions{})
		if err != nil {
			_, err = leases.Create(ctx, &coordv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Name: n.cfg.Name},
				Spec:       coordv1.LeaseSpec{HolderIdentity: &n.cfg.Name, LeaseDurationSeconds: &seconds, RenewTime: &now},
			}, metav1.CreateOptions{})
		} else {
			lease.Spec.RenewTime = &now
			_, err = leases.Update(ctx, lease, metav1.UpdateOptions{})
		}
		pause := 10 * time.Second
		if err != nil {
			pause = time.Second // the namespace appears a moment after the API server
		}
		if !wait(ctx, pause) {
			return
		}
	}
}

func (n *node) podChanged(ctx context.Context, pod *corev1.Pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	w := n.workers[pod.UID]
	if w == nil {
		w = newWorker(n, pod)
		n.workers[pod.UID] = w
		go func() {
			w.run(ctx)
			n.mu.Lock()
			defer n.mu.Unlock()
			delete(n.workers, pod.UID)
		}()
	}
	w.update(pod)
}

func (n *node) podGone(pod *corev1.Pod) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if w := n.workers[pod.UID]; w != nil {
		w.remove()
	}
}

// find returns a running container for the log and exec endpoints.
func (n *node) find(namespace, pod, container string) (*container, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, w := range n.workers {
		if p := w.pod(); p.Namespace == namespace && p.Name == pod {
			for _, c := range w.containers {
				if c.spec.Name == container {
					return c, nil
				}
			}
			return nil, fmt.Errorf("no container %q in pod %s/%s", container, namespace, pod)
		}
	}
	return nil, fmt.Errorf("no pod %s/%s on node %s", namespace, pod, n.cfg.Name)
}

// wait sleeps; false says that ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

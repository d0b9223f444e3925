// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"weir.test/cluster/internal/sandbox"
)

const (
	firstBackoff = 250 * time.Millisecond // kubelet: 10 s
	lastBackoff  = 10 * time.Second       // kubelet: 5 min
	stableAfter  = 30 * time.Second       // a run this long starts the backoff anew
)

// container is one container of a pod over all its restarts.
type container struct {
	pod   *worker
	spec  *corev1.Container
	image *Image

	mu       sync.Mutex
	pid      int // 0: not running
	env      []string
	state    corev1.ContainerState
	last     corev1.ContainerState
	restarts int32
	started  bool // startup probe passed
	ready    bool
	restart  context.CancelFunc // ends this run, after a failed liveness probe
}

func newContainer(w *worker, spec *corev1.Container) *container {
	return &container{pod: w, spec: spec, state: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"},
	}}
}

// run keeps the container running, by the pod's restart policy, until ctx ends.
func (c *container) run(ctx context.Context) {
	policy := c.pod.pod().Spec.RestartPolicy
	backoff := firstBackoff
	for {
		began := time.Now()
		code := c.runOnce(ctx)
		if ctx.Err() != nil || policy == corev1.RestartPolicyNever || (policy == corev1.RestartPolicyOnFailure && code == 0) {
			return
		}
		if time.Since(began) > stableAfter {
			backoff = firstBackoff
		}
		c.set(func() {
			c.last = c.state
			c.state = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}
			c.restarts++
		})
		if !wait(ctx, backoff) {
			return
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// runInit runs an init container to success; false: it failed for good or the pod is to stop.
func (c *container) runInit(ctx context.Context) bool {
	backoff := firstBackoff
	for {
		if c.runOnce(ctx) == 0 && ctx.Err() == nil {
			c.set(func() { c.ready = true })
			return true
		}
		if ctx.Err() != nil || c.pod.pod().Spec.RestartPolicy == corev1.RestartPolicyNever {
			return false
		}
		c.set(func() { c.restarts++ })
		if !wait(ctx, backoff) {
			return false
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// runOnce starts the program and returns its exit code. When ctx ends the program is stopped gracefully.
func (c *container) runOnce(ctx context.Context) int {
	run, endRun := context.WithCancel(ctx)
	defer endRun()
	cmd, logs, err := c.start(ctx)
	began := metav1.Now()
	if err != nil {
		klog.InfoS("Container does not start", "pod", c.pod.key, "container", c.spec.Name, "err", err)
		c.ended(began, 128, "StartError", err.Error())
		return 128
	}
	defer logs.Close()
	c.set(func() {
		c.pid = cmd.Process.Pid
		c.restart = endRun
		c.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: began}}
	})
	exited := make(chan struct{})
	go c.probe(run, exited)
	go c.stopWhen(run, cmd.Process, exited)
	err = cmd.Wait()
	close(exited)
	code, reason := 0, "Completed"
	if err != nil {
		code, reason = 1, "Error"
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if code = exit.ExitCode(); code < 0 {
			code = 128 + int(exit.Sys().(syscall.WaitStatus).Signal())
		}
	}
	c.ended(began, code, reason, "")
	return code
}

// start prepares the container's root, environment and log, and starts podinit.
func (c *container) start(ctx context.Context) (*exec.Cmd, io.Closer, error) {
	env, err := c.pod.environment(ctx, c.spec, c.image)
	if err != nil {
		return nil, nil, err
	}
	mounts, err := c.pod.mounts(c.spec, c.image, env)
	if err != nil {
		return nil, nil, err
	}
	dir := filepath.Join(c.pod.dir, "containers", c.spec.Name)
	spec := sandbox.Spec{
		NetNS: c.pod.net.path, Hostname: c.pod.hostname(), Root: filepath.Join(dir, "root"), Mounts: mounts,
		Env: environ(env), Dir: firstOf(c.spec.WorkingDir, c.image.Dir, "/"),
	}
	if c.image.Root != "" {
		spec.Image = c.pod.node.images.hostPath(c.image.Root)
	}
	command := c.spec.Command
	if len(command) == 0 {
		command = c.image.Entrypoint
	}
	spec.Argv = expandArgs(append(append([]string{}, command...), c.spec.Args...), env)
	if err := c.secure(&spec); err != nil {
		return nil, nil, err
	}
	if err := os.MkdirAll(spec.Root, 0o755); err != nil {
		return nil, nil, err
	}
	raw, _ := json.Marshal(spec)
	file := filepath.Join(dir, "spec.json")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		return nil, nil, err
	}
	logs, err := openLog(c.logPath())
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.Command(c.pod.node.images.hostPath("podinit"), file)
	cmd.Env = []string{}
	cmd.Stdout, cmd.Stderr = logs.stream("stdout"), logs.stream("stderr")
	cmd.WaitDelay = 2 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWPID,
	}
	leave, err := c.enterCgroup(cmd.SysProcAttr)
	if err != nil {
		logs.Close()
		return nil, nil, err
	}
	defer leave()
	if err := cmd.Start(); err != nil {
		logs.Close()
		return nil, nil, err
	}
	c.mu.Lock()
	c.env = spec.Env
	c.mu.Unlock()
	return cmd, logs, nil
}

// stopWhen ends the program when run ends: preStop hook, SIGTERM, and SIGKILL after the grace period.
func (c *container) stopWhen(run context.Context, process *os.Process, exited <-chan struct{}) {
	select {
	case <-exited:
		return
	case <-run.Done():
	}
	grace := c.pod.gracePeriod()
	deadline := time.Now().Add(grace)
	if grace > 0 {
		c.preStop(deadline)
		_ = process.Signal(syscall.SIGTERM)
		select {
		case <-exited:
			return
		case <-time.After(time.Until(deadline)):
		}
	}
	_ = process.Kill() // the first process of a PID namespace takes all others with it
}

func (c *container) preStop(deadline time.Time) {
	if c.spec.Lifecycle == nil || c.spec.Lifecycle.PreStop == nil {
		return
	}
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	switch hook := c.spec.Lifecycle.PreStop; {
	case hook.Sleep != nil:
		wait(ctx, time.Duration(hook.Sleep.Seconds)*time.Second)
	case hook.Exec != nil:
		_ = c.exec(ctx, hook.Exec.Command, nil, io.Discard, io.Discard)
	case hook.HTTPGet != nil:
		_, _, _ = c.httpProbe(hook.HTTPGet, time.Until(deadline))
	}
}

// exec runs a command in the container's namespaces and cgroup, with its environment.
func (c *container) exec(ctx context.Context, command []string, in io.Reader, out, errOut io.Writer) error {
	c.mu.Lock()
	pid, env := c.pid, c.env
	c.mu.Unlock()
	if pid == 0 {
		return fmt.Errorf("container %s is not running", c.spec.Name)
	}
	args := []string{"-t", fmt.Sprint(pid), "-m", "-u", "-i", "-n", "-p", "--"}
	cmd := exec.CommandContext(ctx, "nsenter", append(args, command...)...)
	cmd.Env = append([]string{}, env...) // not by env(1), which an image from scratch does not have
	cmd.Stdin, cmd.Stdout, cmd.Stderr = in, out, errOut
	cmd.WaitDelay = time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	leave, err := c.enterCgroup(cmd.SysProcAttr)
	if err != nil {
		return err
	}
	defer leave()
	if err := cmd.Run(); !errors.Is(err, exec.ErrWaitDelay) {
		return err
	}
	return nil // it ended well while its standard input was still open
}

func (c *container) ended(began metav1.Time, code int, reason, message string) {
	c.set(func() {
		c.pid, c.ready, c.started, c.restart = 0, false, false, nil
		c.state = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
			ExitCode: int32(code), Reason: reason, Message: message, StartedAt: began, FinishedAt: metav1.Now(),
		}}
	})
}

// set changes the container's state and lets the pod's status follow.
func (c *container) set(change func()) {
	c.mu.Lock()
	change()
	c.mu.Unlock()
	c.pod.changed()
}

func (c *container) logPath() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.logPathOf(c.restarts)
}

func (c *container) logPathOf(run int32) string {
	return filepath.Join(c.pod.dir, "containers", c.spec.Name, fmt.Sprintf("%d.log", run))
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

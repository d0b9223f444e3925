// SPDX-License-Identifier: Apache-2.0

package node

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
	"k8s.io/kubernetes/pkg/probe"
	grpcprobe "k8s.io/kubernetes/pkg/probe/grpc"
	httpprobe "k8s.io/kubernetes/pkg/probe/http"
	tcpprobe "k8s.io/kubernetes/pkg/probe/tcp"
)

const (
	eager        = 100 * time.Millisecond // between readiness probes before the first success; kubelet: the period
	listenerPoll = 10 * time.Millisecond
	listenerRest = 50 * time.Millisecond // sockets must not have changed for this long
	listenerMax  = 10 * time.Second
)

// probe follows one run of a container: startup, then liveness and readiness side by side.
func (c *container) probe(run context.Context, exited <-chan struct{}) {
	ctx, cancel := context.WithCancel(run)
	go func() { // not deferred: the liveness probe outlives this function
		<-exited
		cancel()
	}()
	if p := c.spec.StartupProbe; p != nil && !c.await(ctx, p) {
		return
	}
	c.set(func() { c.started = true })
	if p := c.spec.LivenessProbe; p != nil {
		go c.watch(ctx, p, p.PeriodSeconds, func(ok bool) {
			if !ok {
				c.kill("liveness")
			}
		})
	}
	if p := c.spec.ReadinessProbe; p != nil {
		c.watch(ctx, p, p.PeriodSeconds, func(ok bool) { c.set(func() { c.ready = ok }) })
		return
	}
	if c.image.AwaitListener {
		c.awaitListener(ctx)
	}
	if ctx.Err() == nil {
		c.set(func() { c.ready = c.pid != 0 })
	}
}

func (c *container) kill(why string) {
	klog.InfoS("Probe failed, container restarts", "pod", c.pod.key, "container", c.spec.Name, "probe", why)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.restart != nil {
		c.restart()
	}
}

// await runs the startup probe until it passes; after failureThreshold failures the container is restarted.
func (c *container) await(ctx context.Context, p *corev1.Probe) bool {
	if !wait(ctx, time.Duration(p.InitialDelaySeconds)*time.Second) {
		return false
	}
	for failures := int32(0); failures < p.FailureThreshold; failures++ {
		if c.passes(ctx, p) {
			return true
		}
		if !wait(ctx, time.Duration(p.PeriodSeconds)*time.Second) {
			return false
		}
	}
	c.kill("startup")
	return false
}

// watch reports each change of a probe's verdict, by its thresholds, until ctx ends.
func (c *container) watch(ctx context.Context, p *corev1.Probe, period int32, report func(ok bool)) {
	if !wait(ctx, time.Duration(p.InitialDelaySeconds)*time.Second) {
		return
	}
	reported, verdict, streak := false, false, int32(0)
	for {
		ok := c.passes(ctx, p)
		if ctx.Err() != nil {
			return
		}
		if streak == 0 || ok != verdict {
			verdict, streak = ok, 0
		}
		streak++
		if (ok && streak == max(p.SuccessThreshold, 1)) || (!ok && streak == max(p.FailureThreshold, 1)) {
			report(ok)
			reported = reported || ok
		}
		pause := time.Duration(period) * time.Second
		if !reported && p == c.spec.ReadinessProbe {
			pause = min(pause, eager)
		}
		if !wait(ctx, pause) {
			return
		}
	}
}

// passes runs one probe with kubelet's own probers.
func (c *container) passes(ctx context.Context, p *corev1.Probe) bool {
	timeout := time.Duration(max(p.TimeoutSeconds, 1)) * time.Second
	var result probe.Result
	var output string
	var err error
	switch {
	case p.HTTPGet != nil:
		result, output, err = c.httpProbe(p.HTTPGet, timeout)
	case p.TCPSocket != nil:
		var port int
		if port, err = probe.ResolveContainerPort(p.TCPSocket.Port, c.spec); err == nil {
			result, output, err = tcpprobe.New().Probe(firstOf(p.TCPSocket.Host, c.pod.net.ip()), port, timeout)
		}
	case p.GRPC != nil:
		service := ""
		if p.GRPC.Service != nil {
			service = *p.GRPC.Service
		}
		result, output, err = grpcprobe.New().Probe(c.pod.net.ip(), service, int(p.GRPC.Port), timeout)
	case p.Exec != nil:
		limited, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		var text bytes.Buffer
		if err = c.exec(limited, p.Exec.Command, nil, &text, &text); err == nil {
			result = probe.Success
		}
		output = text.String()
	}
	passed := err == nil && (result == probe.Success || result == probe.Warning)
	if !passed {
		klog.V(2).InfoS("Probe failed", "pod", c.pod.key, "container", c.spec.Name, "output", output, "err", err)
	}
	return passed
}

func (c *container) httpProbe(get *corev1.HTTPGetAction, timeout time.Duration) (probe.Result, string, error) {
	request, err := httpprobe.NewRequestForHTTPGetAction(get, c.spec, c.pod.net.ip(), "probe")
	if err != nil {
		return probe.Unknown, "", err
	}
	return httpprobe.New(false).Probe(request, timeout)
}

// awaitListener waits until the pod listens on some socket and its set of listening sockets rests. Images without a
// readiness probe are otherwise ready before they serve, and a test that dials at once fails.
func (c *container) awaitListener(ctx context.Context) {
	c.mu.Lock()
	pid := c.pid
	c.mu.Unlock()
	last, since := 0, time.Now()
	for deadline := since.Add(listenerMax); time.Now().Before(deadline); {
		if n := listeners(pid); n != last {
			last, since = n, time.Now()
		} else if n > 0 && time.Since(since) >= listenerRest {
			return
		}
		if !wait(ctx, listenerPoll) {
			return
		}
	}
}

// listeners counts listening TCP and bound UDP sockets in the network namespace of a process.
func listeners(pid int) int {
	n := 0
	for _, protocol := range []struct{ file, state string }{{"tcp", "0A"}, {"tcp6", "0A"}, {"udp", "07"}, {"udp6", "07"}} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", pid, protocol.file))
		if err != nil {
			continue
		}
		for lines := bufio.NewScanner(f); lines.Scan(); {
			if fields := strings.Fields(lines.Text()); len(fields) > 3 && fields[3] == protocol.state {
				n++
			}
		}
		f.Close()
	}
	return n
}

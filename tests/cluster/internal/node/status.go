// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
)

// publishLoop keeps the object's status equal to the pod's state.
func (w *worker) publishLoop(ctx context.Context) {
	var sent *corev1.PodStatus
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.dirty:
		}
		status := w.status(sent)
		if sent != nil && equality.Semantic.DeepEqual(sent, status) {
			continue
		}
		switch err := w.patchStatus(ctx, status); {
		case err == nil:
			sent = status
		case apierrors.IsNotFound(err) || apierrors.IsConflict(err) || ctx.Err() != nil:
			return // the object is gone, or another pod has its name
		default:
			klog.InfoS("Status is not accepted, trying again", "pod", w.key, "err", err)
			if !wait(ctx, 200*time.Millisecond) {
				return
			}
			w.changed()
		}
	}
}

// patchStatus needs no resourceVersion: the pod's UID guards it, and nobody else writes these fields.
func (w *worker) patchStatus(ctx context.Context, status *corev1.PodStatus) error {
	pod := w.pod()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": pod.UID}, "status": status})
	if err != nil {
		return err
	}
	_, err = w.node.client.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err
}

// status computes the pod's status; before is what was last published, for the times of conditions.
func (w *worker) status(before *corev1.PodStatus) *corev1.PodStatus {
	w.mu.Lock()
	defer w.mu.Unlock()
	generation := w.object.Generation
	s := &corev1.PodStatus{
		Phase: corev1.PodPending, HostIP: w.node.cfg.IPs[0], StartTime: &w.started, QOSClass: w.object.Status.QOSClass, ObservedGeneration: generation,
	}
	if w.net != nil {
		s.PodIP = w.net.ip()
		for _, ip := range w.net.ips {
			s.PodIPs = append(s.PodIPs, corev1.PodIP{IP: ip})
		}
	}
	for _, ip := range w.node.cfg.IPs {
		s.HostIPs = append(s.HostIPs, corev1.HostIP{IP: ip})
	}
	initialized, ready, running, failed := true, true, 0, 0
	for i, c := range w.containers {
		status := c.status(w)
		if i < w.inits {
			s.InitContainerStatuses = append(s.InitContainerStatuses, status)
			initialized = initialized && status.Ready
			if t := status.State.Terminated; t != nil && t.ExitCode != 0 {
				failed++
			}
			continue
		}
		s.ContainerStatuses = append(s.ContainerStatuses, status)
		ready = ready && status.Ready
		if status.State.Running != nil || status.RestartCount > 0 {
			running++
		}
		if t := status.State.Terminated; t != nil && t.ExitCode != 0 {
			failed++
		}
	}
	switch {
	case w.done && failed > 0:
		s.Phase = corev1.PodFailed
	case w.done:
		s.Phase = corev1.PodSucceeded
	case running > 0:
		s.Phase = corev1.PodRunning
	}
	allGates := ready
	for _, gate := range w.object.Spec.ReadinessGates {
		allGates = allGates && conditionTrue(w.object.Status.Conditions, gate.ConditionType)
	}
	for _, condition := range []struct {
		kind corev1.PodConditionType
		ok   bool
		why  string
	}{
		{corev1.PodReadyToStartContainers, w.net != nil, ""},
		{corev1.PodInitialized, initialized, "ContainersNotInitialized"},
		{corev1.ContainersReady, ready, "ContainersNotReady"},
		{corev1.PodReady, allGates, "ContainersNotReady"},
	} {
		s.Conditions = append(s.Conditions, podCondition(before, condition.kind, condition.ok, condition.why, w.message, generation))
	}
	return s
}

func (c *container) status(w *worker) corev1.ContainerStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	status := corev1.ContainerStatus{
		Name: c.spec.Name, Image: c.spec.Image, ImageID: "file://" + c.spec.Image,
		ContainerID: "process://" + string(w.object.UID) + "/" + c.spec.Name,
		State:       c.state, LastTerminationState: c.last, RestartCount: c.restarts, Ready: c.ready, Started: &c.started,
	}
	if status.State.Waiting != nil && status.State.Waiting.Message == "" && c.restarts == 0 {
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: w.waiting, Message: w.message}
	}
	started := c.started
	status.Started = &started
	return status
}

func podCondition(before *corev1.PodStatus, kind corev1.PodConditionType, ok bool, why, message string, generation int64) corev1.PodCondition {
	condition := corev1.PodCondition{Type: kind, Status: corev1.ConditionFalse, Reason: why, Message: message,
		LastTransitionTime: metav1.Now(), ObservedGeneration: generation}
	if ok {
		condition.Status, condition.Reason, condition.Message = corev1.ConditionTrue, "", ""
	}
	if before != nil {
		for _, old := range before.Conditions {
			if old.Type == kind && old.Status == condition.Status {
				condition.LastTransitionTime = old.LastTransitionTime
			}
		}
	}
	return condition
}

func conditionTrue(conditions []corev1.PodCondition, kind corev1.PodConditionType) bool {
	for _, c := range conditions {
		if c.Type == kind {
			return c.Status == corev1.ConditionTrue
		}
	}
	return false
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"net"
	"sort"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/api/v1/resource"
	"k8s.io/kubernetes/pkg/fieldpath"
	"k8s.io/kubernetes/third_party/forked/golang/expansion"
)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment computes a container's variables: those of the image, the API server's address, envFrom, env.
func (w *worker) environment(ctx context.Context, c *corev1.Container, image *Image) (map[string]string, error) {
	host, port, _ := net.SplitHostPort(w.node.cfg.APIServer)
	env := map[string]string{
		"PATH": defaultPath, "HOME": "/root", "HOSTNAME": w.hostname(),
		"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port, "KUBERNETES_SERVICE_PORT_HTTPS": port,
	}
	for k, v := range image.Env {
		env[k] = v
	}
	for _, from := range c.EnvFrom {
		data, err := w.envFrom(ctx, from)
		if err != nil {
			return nil, err
		}
		for k, v := range data {
			env[from.Prefix+k] = v
		}
	}
	defined := map[string]string{}
	expand := expansion.MappingFuncFor(defined, env)
	for _, e := range c.Env {
		value, found := expansion.Expand(e.Value, expand), true
		if e.ValueFrom != nil {
			var err error
			if value, found, err = w.envValue(ctx, c, e.ValueFrom); err != nil {
				return nil, fmt.Errorf("variable %s: %w", e.Name, err)
			}
		}
		if found {
			defined[e.Name] = value
		}
	}
	for k, v := range defined {
		env[k] = v
	}
	return env, nil
}

func (w *worker) envFrom(ctx context.Context, from corev1.EnvFromSource) (map[string]string, error) {
	api, ns := w.node.client.CoreV1(), w.pod().Namespace
	if ref := from.ConfigMapRef; ref != nil {
		cm, err := api.ConfigMaps(ns).Get(ctx, ref.Name, metav1.GetOptions{})
		if absent(err, ref.Optional) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		return cm.Data, nil
	}
	if ref := from.SecretRef; ref != nil {
		secret, err := api.Secrets(ns).Get(ctx, ref.Name, metav1.GetOptions{})
		if absent(err, ref.Optional) {
			return nil, nil
		} else if err != nil {
			return nil, err
		}
		data := map[string]string{}
		for k, v := range secret.Data {
			data[k] = string(v)
		}
		return data, nil
	}
	return nil, nil
}

func (w *worker) envValue(ctx context.Context, c *corev1.Container, from *corev1.EnvVarSource) (value string, found bool, err error) {
	api, ns := w.node.client.CoreV1(), w.pod().Namespace
	switch {
	case from.FieldRef != nil:
		value, err = w.field(from.FieldRef.FieldPath)
		return value, true, err
	case from.ResourceFieldRef != nil:
		value, err = resource.ExtractContainerResourceValue(from.ResourceFieldRef, c)
		return value, true, err
	case from.ConfigMapKeyRef != nil:
		ref := from.ConfigMapKeyRef
		cm, err := api.ConfigMaps(ns).Get(ctx, ref.Name, metav1.GetOptions{})
		if absent(err, ref.Optional) {
			return "", false, nil
		} else if err != nil {
			return "", false, err
		}
		value, found := cm.Data[ref.Key]
		return keyed(value, found, ref.Key, ref.Optional)
	case from.SecretKeyRef != nil:
		ref := from.SecretKeyRef
		secret, err := api.Secrets(ns).Get(ctx, ref.Name, metav1.GetOptions{})
		if absent(err, ref.Optional) {
			return "", false, nil
		} else if err != nil {
			return "", false, err
		}
		value, found := secret.Data[ref.Key]
		return keyed(string(value), found, ref.Key, ref.Optional)
	}
	return "", false, fmt.Errorf("unsupported source")
}

// field evaluates a downward API path.
func (w *worker) field(path string) (string, error) {
	pod := w.pod()
	switch path {
	case "spec.nodeName":
		return pod.Spec.NodeName, nil
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, nil
	case "status.hostIP":
		return w.node.cfg.IPs[0], nil
	case "status.hostIPs":
		return strings.Join(w.node.cfg.IPs, ","), nil
	case "status.podIP":
		return w.net.ip(), nil
	case "status.podIPs":
		return strings.Join(w.net.ips, ","), nil
	}
	return fieldpath.ExtractFieldPathAsString(pod, path)
}

// expandArgs replaces $(NAME) in commands and arguments.
func expandArgs(args []string, env map[string]string) []string {
	mapping := expansion.MappingFuncFor(env)
	out := make([]string, len(args))
	for i, arg := range args {
		out[i] = expansion.Expand(arg, mapping)
	}
	return out
}

func environ(env map[string]string) []string {
	out := make([]string, 0, len(env))
	for k, v := range env {
		if !strings.ContainsRune(v, 0) {
			out = append(out, k+"="+v)
		}
	}
	sort.Strings(out)
	return out
}

func absent(err error, optional *bool) bool {
	return apierrors.IsNotFound(err) && optional != nil && *optional
}

func keyed(value string, found bool, key string, optional *bool) (string, bool, error) {
	if !found && (optional == nil || !*optional) {
		return "", false, fmt.Errorf("no key %q", key)
	}
	return value, found, nil
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	authv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/kubernetes/pkg/api/v1/resource"
	"k8s.io/kubernetes/pkg/volume/configmap"
	"k8s.io/kubernetes/pkg/volume/secret"
	volumeutil "k8s.io/kubernetes/pkg/volume/util"

	"weir.test/cluster/internal/sandbox"
)

// refreshEvery is how often mounted ConfigMaps and Secrets are brought up to date (kubelet: about a minute).
const refreshEvery = 5 * time.Second

type payload = map[string]volumeutil.FileProjection

// token is the last service account token of one projection; tokens are renewed at 80 % of their life.
type token struct {
	value string
	renew time.Time
}

// prepareVolumes makes every volume's directory. It fails, to be tried again, while an object is missing.
func (w *worker) prepareVolumes(ctx context.Context) error {
	for i := range w.pod().Spec.Volumes {
		v := &w.pod().Spec.Volumes[i]
		if err := w.prepareVolume(ctx, v); err != nil {
			return fmt.Errorf("volume %s: %w", v.Name, err)
		}
	}
	return nil
}

func (w *worker) prepareVolume(ctx context.Context, v *corev1.Volume) error {
	dir := w.volumeDir(v.Name)
	switch {
	case v.HostPath != nil:
		dir = w.node.hostPath(v.HostPath.Path)
		w.setVolume(v.Name, dir)
		if t := v.HostPath.Type; t != nil && *t == corev1.HostPathDirectoryOrCreate {
			return os.MkdirAll(dir, 0o755)
		}
		_, err := os.Stat(dir)
		return err
	case v.EmptyDir != nil:
		w.setVolume(v.Name, dir)
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
		return os.Chmod(dir, 0o777) // whatever the umask
	}
	files, err := w.project(ctx, v)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	w.setVolume(v.Name, dir)
	writer, err := volumeutil.NewAtomicWriter(dir, w.key)
	if err != nil {
		return err
	}
	return writer.Write(files, nil)
}

func (w *worker) setVolume(name, dir string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.volumes[name] = dir
}

// project computes the files of a volume that comes from the API.
func (w *worker) project(ctx context.Context, v *corev1.Volume) (payload, error) {
	switch {
	case v.ConfigMap != nil:
		s := v.ConfigMap
		return w.configMapFiles(ctx, s.Name, s.Items, s.DefaultMode, s.Optional)
	case v.Secret != nil:
		s := v.Secret
		return w.secretFiles(ctx, s.SecretName, s.Items, s.DefaultMode, s.Optional)
	case v.DownwardAPI != nil:
		return w.downwardFiles(v.DownwardAPI.Items, v.DownwardAPI.DefaultMode)
	case v.Projected != nil:
		all := payload{}
		for i := range v.Projected.Sources {
			files, err := w.projectSource(ctx, &v.Projected.Sources[i], v.Projected.DefaultMode)
			if err != nil {
				return nil, err
			}
			for name, file := range files {
				all[name] = file
			}
		}
		return all, nil
	}
	return nil, fmt.Errorf("unsupported kind of volume")
}

func (w *worker) projectSource(ctx context.Context, s *corev1.VolumeProjection, mode *int32) (payload, error) {
	switch {
	case s.ConfigMap != nil:
		return w.configMapFiles(ctx, s.ConfigMap.Name, s.ConfigMap.Items, mode, s.ConfigMap.Optional)
	case s.Secret != nil:
		return w.secretFiles(ctx, s.Secret.Name, s.Secret.Items, mode, s.Secret.Optional)
	case s.DownwardAPI != nil:
		return w.downwardFiles(s.DownwardAPI.Items, mode)
	case s.ServiceAccountToken != nil:
		value, err := w.serviceAccountToken(ctx, s.ServiceAccountToken)
		return payload{s.ServiceAccountToken.Path: {Data: []byte(value), Mode: 0o644}}, err
	}
	return nil, fmt.Errorf("unsupported projection")
}

func (w *worker) configMapFiles(ctx context.Context, name string, items []corev1.KeyToPath, mode *int32, optional *bool) (payload, error) {
	cm, err := w.node.client.CoreV1().ConfigMaps(w.pod().Namespace).Get(ctx, name, metav1.GetOptions{})
	if absent(err, optional) {
		return payload{}, nil
	} else if err != nil {
		return nil, err
	}
	return configmap.MakePayload(items, cm, mode, optional != nil && *optional)
}

func (w *worker) secretFiles(ctx context.Context, name string, items []corev1.KeyToPath, mode *int32, optional *bool) (payload, error) {
	s, err := w.node.client.CoreV1().Secrets(w.pod().Namespace).Get(ctx, name, metav1.GetOptions{})
	if absent(err, optional) {
		return payload{}, nil
	} else if err != nil {
		return nil, err
	}
	return secret.MakePayload(items, s, mode, optional != nil && *optional)
}

func (w *worker) downwardFiles(items []corev1.DownwardAPIVolumeFile, defaultMode *int32) (payload, error) {
	files := payload{}
	for _, item := range items {
		mode := item.Mode
		if mode == nil {
			mode = defaultMode
		}
		var value string
		var err error
		if item.FieldRef != nil {
			value, err = w.field(item.FieldRef.FieldPath)
		} else {
			value, err = resource.ExtractResourceValueByContainerName(item.ResourceFieldRef, w.pod(), item.ResourceFieldRef.ContainerName)
		}
		if err != nil {
			return nil, err
		}
		files[item.Path] = volumeutil.FileProjection{Data: []byte(value), Mode: *mode}
	}
	return files, nil
}

func (w *worker) serviceAccountToken(ctx context.Context, s *corev1.ServiceAccountTokenProjection) (string, error) {
	key := s.Audience + "/" + s.Path
	if t := w.tokens[key]; time.Now().Before(t.renew) {
		return t.value, nil
	}
	pod := w.pod()
	request := &authv1.TokenRequest{Spec: authv1.TokenRequestSpec{
		ExpirationSeconds: s.ExpirationSeconds,
		BoundObjectRef:    &authv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	if s.Audience != "" {
		request.Spec.Audiences = []string{s.Audience}
	}
	reply, err := w.node.client.CoreV1().ServiceAccounts(pod.Namespace).CreateToken(ctx, pod.Spec.ServiceAccountName, request, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	life := time.Until(reply.Status.ExpirationTimestamp.Time)
	w.tokens[key] = token{reply.Status.Token, time.Now().Add(life * 8 / 10)}
	return reply.Status.Token, nil
}

// refreshVolumes follows changes of mounted objects until the pod is to end.
func (w *worker) refreshVolumes(ctx context.Context) {
	for wait(ctx, refreshEvery) {
		for i := range w.pod().Spec.Volumes {
			if v := &w.pod().Spec.Volumes[i]; v.HostPath == nil && v.EmptyDir == nil {
				_ = w.prepareVolume(ctx, v) // an object that is gone keeps its last files, as with kubelet
			}
		}
	}
}

// mounts lists what a container sees of the machine: the image's files, /etc files of the pod, then its volumes.
func (w *worker) mounts(c *corev1.Container, image *Image, env map[string]string) ([]sandbox.Mount, error) {
	var list []sandbox.Mount
	for target, file := range image.Files {
		list = append(list, sandbox.Mount{Source: w.node.images.hostPath(file), Target: target, ReadOnly: true})
	}
	for _, name := range []string{"hosts", "hostname", "resolv.conf"} {
		list = append(list, sandbox.Mount{Source: filepath.Join(w.dir, "etc", name), Target: "/etc/" + name})
	}
	for _, m := range c.VolumeMounts {
		w.mu.Lock()
		source, ok := w.volumes[m.Name]
		w.mu.Unlock()
		if !ok {
			return nil, fmt.Errorf("no volume %q", m.Name)
		}
		sub := m.SubPath
		if m.SubPathExpr != "" {
			sub = expandArgs([]string{m.SubPathExpr}, env)[0]
		}
		if sub != "" {
			if strings.Contains(sub, "..") {
				return nil, fmt.Errorf("subPath %q leaves the volume", sub)
			}
			source = filepath.Join(source, sub)
			if _, err := os.Stat(source); os.IsNotExist(err) {
				if err := os.MkdirAll(source, 0o755); err != nil {
					return nil, err
				}
			}
		}
		list = append(list, sandbox.Mount{Source: source, Target: m.MountPath, ReadOnly: m.ReadOnly})
	}
	return list, nil
}

// writeEtc writes the pod's /etc/hosts, /etc/hostname and /etc/resolv.conf.
func (w *worker) writeEtc() error {
	pod, name := w.pod(), w.hostname()
	names := name
	if pod.Spec.Subdomain != "" {
		names += " " + name + "." + pod.Spec.Subdomain + "." + pod.Namespace + ".svc.cluster.local"
	}
	hosts := "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost\n"
	for _, ip := range w.net.ips {
		hosts += ip + "\t" + names + "\n"
	}
	for _, alias := range pod.Spec.HostAliases {
		hosts += alias.IP + "\t" + strings.Join(alias.Hostnames, " ") + "\n"
	}
	servers := []string{gateway4}
	search := []string{pod.Namespace + ".svc.cluster.local", "svc.cluster.local", "cluster.local"}
	options := []string{"ndots:5"}
	if pod.Spec.DNSPolicy == corev1.DNSNone {
		servers, search, options = nil, nil, nil
	}
	if d := pod.Spec.DNSConfig; d != nil {
		servers, search = append(servers, d.Nameservers...), append(search, d.Searches...)
		for _, o := range d.Options {
			if o.Value != nil {
				options = append(options, o.Name+":"+*o.Value)
			} else {
				options = append(options, o.Name)
			}
		}
	}
	resolv := ""
	for _, s := range servers {
		resolv += "nameserver " + s + "\n"
	}
	if len(search) > 0 {
		resolv += "search " + strings.Join(search, " ") + "\n"
	}
	if len(options) > 0 {
		resolv += "options " + strings.Join(options, " ") + "\n"
	}
	dir := filepath.Join(w.dir, "etc")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for file, text := range map[string]string{"hosts": hosts, "hostname": name + "\n", "resolv.conf": resolv} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

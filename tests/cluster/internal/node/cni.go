// SPDX-License-Identifier: Apache-2.0

package node

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/containernetworking/cni/libcni"
	"github.com/containernetworking/cni/pkg/types"
	current "github.com/containernetworking/cni/pkg/types/100"
	cniversion "github.com/containernetworking/cni/pkg/version"
)

// Pod networks are made as a container runtime makes them: libcni, which containerd and CRI-O have in them, calls a
// plugin and keeps its answer on the node, in cniCache/results, from before the containers start until the network is
// gone. Only that the plugin is no program of its own.
const cniCache = "/var/lib/cni"

const cniNetwork = `{"cniVersion": "1.0.0", "name": "rig", "plugins": [{"type": "rig"}]}`

// plugin makes and removes one pod's network; an invoke.Exec.
type plugin struct {
	cniversion.PluginDecoder
	net  *network
	pod  *podNetwork
	veth string
}

func (p *plugin) FindInPath(name string, _ []string) (string, error) { return name, nil }

func (p *plugin) ExecPlugin(_ context.Context, _ string, _ []byte, environ []string) ([]byte, error) {
	for _, v := range environ {
		switch v {
		case "CNI_COMMAND=ADD":
			if err := p.net.connect(p.pod, p.veth); err != nil {
				return nil, err
			}
			return json.Marshal(p.result())
		case "CNI_COMMAND=DEL":
			return nil, run("ip", "netns", "del", p.pod.name)
		}
	}
	return nil, fmt.Errorf("neither ADD nor DEL in %q", environ)
}

func (p *plugin) result() *current.Result {
	r := &current.Result{CNIVersion: "1.0.0", Interfaces: []*current.Interface{
		{Name: p.veth}, {Name: "eth0", Sandbox: p.pod.path},
	}}
	for i, ip := range p.pod.ips {
		bits := [2]string{"/32", "/128"}[i]
		if address, err := types.ParseCIDR(ip + bits); err == nil {
			r.IPs = append(r.IPs, &current.IPConfig{Interface: current.Int(1), Address: *address})
		}
	}
	return r
}

// sandboxConf is what a runtime tells libcni of a pod; arguments as containerd gives them.
func sandboxConf(namespace, pod, uid, path string) *libcni.RuntimeConf {
	id := strings.ReplaceAll(uid, "-", "")
	return &libcni.RuntimeConf{ContainerID: id, NetNS: path, IfName: "eth0", Args: [][2]string{
		{"IgnoreUnknown", "1"}, {"K8S_POD_NAMESPACE", namespace}, {"K8S_POD_NAME", pod},
		{"K8S_POD_INFRA_CONTAINER_ID", id}, {"K8S_POD_UID", uid},
	}}
}

func (p *plugin) add(cache string) error {
	list, err := libcni.NetworkConfFromBytes([]byte(cniNetwork))
	if err == nil {
		_, err = libcni.NewCNIConfigWithCacheDir(nil, cache, p).AddNetworkList(context.Background(), list, p.pod.conf)
	}
	return err
}

func (p *plugin) del(cache string) error {
	list, err := libcni.NetworkConfFromBytes([]byte(cniNetwork))
	if err == nil {
		err = libcni.NewCNIConfigWithCacheDir(nil, cache, p).DelNetworkList(context.Background(), list, p.pod.conf)
	}
	return err
}

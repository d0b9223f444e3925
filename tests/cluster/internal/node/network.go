// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/containernetworking/cni/libcni"
	"github.com/vishvananda/netlink"
)

// The next hop of every pod. gateway4 sits on each node's loopback, so the node answers ARP for it on every veth; the
// cluster's DNS listens there too, hence it works without ClusterIPs. gateway6 is on every veth, being link-local.
const (
	gateway4 = "169.254.1.1"
	gateway6 = "fe80::1"
)

// hosts of a node's pod networks that are given to pods: the same number in both families.
const (
	firstHost = 2
	lastHost  = 254
)

const (
	upPoll = time.Millisecond
	upMax  = 3 * time.Second // until a veth pair is up, its ends being so
)

// network gives pods of one node their network namespaces and addresses. The node process itself runs in the node's
// network namespace.
type network struct {
	cluster string // first part of the names of pods' namespaces
	cache   string // where libcni keeps what it was answered
	node    []string
	cidrs   [2]netip.Prefix

	mu   sync.Mutex
	last int
	used map[int]bool
}

// podNetwork is where one pod is.
type podNetwork struct {
	path string   // of the network namespace
	ips  []string // IPv4 first
	name string   // of the namespace; empty for pods in the node's own network
	host int
	conf *libcni.RuntimeConf
}

func (p *podNetwork) ip() string { return p.ips[0] }

func newNetwork(cluster, cache string, nodeIPs, podCIDRs []string) (*network, error) {
	n := &network{cluster: cluster, cache: cache, node: nodeIPs, last: firstHost - 1, used: map[int]bool{}}
	for i := range n.cidrs {
		cidr, err := netip.ParsePrefix(podCIDRs[i])
		if err != nil {
			return nil, err
		}
		n.cidrs[i] = cidr.Masked()
	}
	return n, run("ip", "addr", "replace", gateway4+"/32", "dev", "lo")
}

// allocate takes the next host number, going round, so that a freed one is not reused at once.
func (n *network) allocate() (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for range lastHost - firstHost + 1 {
		if n.last++; n.last > lastHost {
			n.last = firstHost
		}
		if !n.used[n.last] {
			n.used[n.last] = true
			return n.last, nil
		}
	}
	return 0, fmt.Errorf("no free address in %s", n.cidrs[0])
}

// address is the host-th of a prefix; host fits the last byte.
func address(cidr netip.Prefix, host int) string {
	bytes := cidr.Addr().AsSlice()
	bytes[len(bytes)-1] = byte(host)
	addr, _ := netip.AddrFromSlice(bytes)
	return addr.String()
}

func (n *network) create(namespace, pod, uid string) (*podNetwork, error) {
	host, err := n.allocate()
	if err != nil {
		return nil, err
	}
	name := strings.Join([]string{n.cluster, namespace, pod}, ".")
	p := &podNetwork{path: "/run/netns/" + name, name: name, host: host,
		ips: []string{address(n.cidrs[0], host), address(n.cidrs[1], host)}}
	p.conf = sandboxConf(namespace, pod, uid, p.path)
	if _, err := os.Stat(p.path); err == nil { // left by a node that was killed
		_ = run("ip", "netns", "del", name)
	}
	made := &plugin{net: n, pod: p, veth: "v" + strings.ReplaceAll(uid, "-", "")[:12]}
	if err := made.add(n.cache); err != nil {
		n.remove(p)
		return nil, err
	}
	return p, nil
}

// connect makes the pod's namespace and a veth pair to it. Nothing waits for duplicate address detection.
func (n *network) connect(p *podNetwork, veth string) error {
	if err := run("ip", "netns", "add", p.name); err != nil {
		return err
	}
	err := batch([]string{
		"link add " + veth + " type veth peer name eth0 netns " + p.name,
		"addr add " + gateway6 + "/64 dev " + veth + " nodad",
		"link set " + veth + " up",
		"route replace " + p.ips[0] + "/32 dev " + veth + " src " + n.node[0],
		"route replace " + p.ips[1] + "/128 dev " + veth + " src " + n.node[1],
	})
	if err != nil {
		return err
	}
	err = batch([]string{
		"link set lo up",
		"addr add " + p.ips[0] + "/32 dev eth0",
		"addr add " + p.ips[1] + "/128 dev eth0 nodad",
		"link set eth0 up",
		"route add " + gateway4 + " dev eth0 scope link",
		"route add default via " + gateway4 + " src " + p.ips[0],
		"route add default via " + gateway6 + " dev eth0 src " + p.ips[1],
	}, "-n", p.name)
	if err != nil {
		return err
	}
	return awaitUp(veth, upMax)
}

// awaitUp waits until the kernel sends through an interface. Its carrier comes at once, but until a worker of the
// kernel (net/core/link_watch.c) has seen it everything sent is dropped: the first ARP request too, and the second one
// comes a second later. CNI plugins wait for the same state before the runtime goes on (containernetworking/plugins,
// plugins/main/bridge/bridge.go: "check bridge port state").
func awaitUp(name string, longest time.Duration) error {
	for deadline := time.Now().Add(longest); ; time.Sleep(upPoll) {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return err
		}
		state := link.Attrs().OperState
		if state == netlink.OperUp {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is %s", name, state)
		}
	}
}

// remove deletes the namespace, and with it the veth pair and the routes.
func (n *network) remove(p *podNetwork) {
	if p == nil || p.name == "" {
		return
	}
	_ = (&plugin{net: n, pod: p}).del(n.cache)
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.used, p.host)
}

func batch(lines []string, flags ...string) error {
	cmd := exec.Command("ip", append(flags, "-batch", "-")...)
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(lines, "; "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

func run(argv ...string) error {
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(argv, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

// Package control starts and stops a whole cluster on this machine: etcd, the Kubernetes control plane and nodes, all
// in network namespaces and cgroups of their own.
package control

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"weir.test/cluster/internal/cgroup"
)

// controllers are those of kube-controller-manager that make sense without clouds, disks and token bootstrap.
const controllers = "clusterrole-aggregation-controller,cronjob-controller,daemonset-controller,deployment-controller," +
	"disruption-controller,endpoints-controller,endpointslice-controller,endpointslice-mirroring-controller," +
	"garbage-collector-controller,horizontal-pod-autoscaler-controller,job-controller,namespace-controller," +
	"node-lifecycle-controller,pod-garbage-collector-controller,replicaset-controller,root-ca-certificate-publisher-controller," +
	"serviceaccount-controller,statefulset-controller,taint-eviction-controller,validatingadmissionpolicy-status-controller"

const kubelet = "kubelet" // the stand-in's place among a node's programs

// Cluster is one cluster on this machine; several may run side by side under different names.
type Cluster struct {
	Name      string
	Dir       string // state, logs, kubeconfig
	Bin       string // the programs: kube, rig, podinit and those of the image table
	Images    string // image table
	Nodes     int
	KubeProxy bool
	Light     bool // etcd and API server only

	cgroups string // where cgroup v2 is mounted
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

// Check completes a Cluster whose exported fields were set.
func (c *Cluster) Check() (err error) {
	if !validName.MatchString(c.Name) {
		return fmt.Errorf("name %q: lower-case letters, digits and dashes, 32 at most", c.Name)
	}
	if c.Nodes < 1 || c.Nodes > maxNodes {
		return fmt.Errorf("%d nodes: 1 to %d", c.Nodes, maxNodes)
	}
	c.cgroups, err = cgroup.Root()
	return err
}

// Kubeconfig is the administrator's; it is of use inside the cluster's network namespaces only.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.Dir, "kubeconfig") }

func (c *Cluster) nodeDir(i int) string { return filepath.Join(c.Dir, "nodes", nodeName(i)) }
func (c *Cluster) bpf() string          { return filepath.Join("/sys/fs/bpf", c.Name) }
func (c *Cluster) nodeBPF(i int) string { return filepath.Join(c.bpf(), nodeName(i)) }
func (c *Cluster) kube() string         { return filepath.Join(c.Bin, "kube") }

// Prepare makes directories and networks; the rest of Up must run inside the first network namespace. What is left of
// a cluster of that name that did not end well goes away.
func (c *Cluster) Prepare() error {
	for _, p := range c.running() {
		if strings.HasPrefix(p.name, "control/") {
			return fmt.Errorf("cluster %s is up (%s, pid %d): rig down first", c.Name, p.name, p.pids[0])
		}
	}
	c.clear()
	for _, dir := range []string{"log", "nodes"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, dir), 0o755); err != nil {
			return err
		}
	}
	return c.createNetworks()
}

// clear kills and removes everything but the logs.
func (c *Cluster) clear() {
	cgroup.Remove(c.cgroupRoot())
	c.deleteNetworks()
	_ = os.RemoveAll(c.bpf()) // what agents pinned
	for _, dir := range []string{"etcd", "apiserver", "nodes", "kubectl", "pki"} {
		_ = os.RemoveAll(filepath.Join(c.Dir, dir))
	}
	_ = os.Remove(c.Kubeconfig())
}

// Up starts everything and returns when the API server and the nodes are ready.
func (c *Cluster) Up() error {
	began := time.Now()
	pki, err := c.certificates()
	if err != nil {
		return err
	}
	if err := c.startControlPlane(pki); err != nil {
		return err
	}
	waiter, err := c.newWaiter(pki)
	if err != nil {
		return err
	}
	if err := waiter.apiServer(); err != nil {
		return err
	}
	fmt.Printf("API server ready after %.1f s\n", time.Since(began).Seconds())
	if c.Light {
		return nil
	}
	for i := 1; i <= c.Nodes; i++ {
		if err := c.StartNode(i); err != nil {
			return err
		}
	}
	if err := c.startManagers(pki); err != nil {
		return err
	}
	for i := 1; i <= c.Nodes; i++ {
		if err := waiter.node(i); err != nil {
			return err
		}
	}
	fmt.Printf("%d node(s) ready after %.1f s\n", c.Nodes, time.Since(began).Seconds())
	return nil
}

// certificates makes those of the control plane and the administrator's kubeconfig.
func (c *Cluster) certificates() (*authority, error) {
	pki, err := newAuthority(filepath.Join(c.Dir, "pki"))
	if err != nil {
		return nil, err
	}
	ips := nodeIPs(1)
	if err := pki.server("apiserver", ips[0], ips[1], "127.0.0.1", "::1", serviceIP, "localhost", "kubernetes",
		"kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local"); err != nil {
		return nil, err
	}
	if err := pki.client("admin", "rig-admin", "system:masters"); err != nil {
		return nil, err
	}
	if _, err := pki.keyPair("service-account"); err != nil {
		return nil, err
	}
	return pki, pki.kubeconfig(c.Kubeconfig(), c.server(), "admin")
}

func (c *Cluster) server() string { return "https://" + nodeIPs(1)[0] + ":6443" }

func (c *Cluster) startControlPlane(pki *authority) error {
	// nothing of a test cluster outlives the machine, so etcd need not wait for the disk
	err := c.start(0, "etcd", nil, c.kube(), "etcd", "--data-dir="+filepath.Join(c.Dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=default=http://127.0.0.1:2380", "--log-level=warn")
	if err != nil {
		return err
	}
	return c.start(0, "kube-apiserver", nil, c.kube(), "kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
		"--advertise-address="+nodeIPs(1)[0], "--bind-address=0.0.0.0", "--secure-port=6443",
		"--service-cluster-ip-range="+serviceCIDR4+","+serviceCIDR6,
		"--cert-dir="+filepath.Join(c.Dir, "apiserver"),
		"--tls-cert-file="+pki.path("apiserver.crt"), "--tls-private-key-file="+pki.path("apiserver.key"),
		"--client-ca-file="+pki.path("ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-signing-key-file="+pki.path("service-account.key"),
		"--service-account-key-file="+pki.path("service-account.pub"),
		"--kubelet-client-certificate="+pki.path("admin.crt"), "--kubelet-client-key="+pki.path("admin.key"),
		"--kubelet-preferred-address-types=InternalIP",
		"--authorization-mode=RBAC", "--allow-privileged", "--enable-priority-and-fairness=false", "--profiling=false")
}

// StartAPIServer starts etcd and the API server again, after StopAPIServer.
func (c *Cluster) StartAPIServer() error {
	pki, err := openAuthority(filepath.Join(c.Dir, "pki"))
	if err != nil {
		return err
	}
	if err := c.startControlPlane(pki); err != nil {
		return err
	}
	waiter, err := c.newWaiter(pki)
	if err != nil {
		return err
	}
	return waiter.apiServer()
}

// StopAPIServer stops the API server and etcd; everything else goes on.
func (c *Cluster) StopAPIServer() {
	for _, name := range []string{"kube-apiserver", "etcd"} {
		place := c.place(0, name)
		stop(3*time.Second, []program{{name, place, cgroup.Pids(place)}})
	}
}

func (c *Cluster) startManagers(pki *authority) error {
	err := c.start(0, "kube-controller-manager", nil, c.kube(), "kube-controller-manager", "--kubeconfig="+c.Kubeconfig(),
		"--controllers="+controllers, "--leader-elect=false", "--secure-port=0",
		"--root-ca-file="+pki.path("ca.crt"), "--service-account-private-key-file="+pki.path("service-account.key"),
		"--use-service-account-credentials=false",
		"--kube-api-qps=500", "--kube-api-burst=1000", "--concurrent-deployment-syncs=10", "--concurrent-replicaset-syncs=10",
		"--concurrent-namespace-syncs=20", "--profiling=false")
	if err != nil {
		return err
	}
	return c.start(0, "kube-scheduler", nil, c.kube(), "kube-scheduler", "--kubeconfig="+c.Kubeconfig(), "--leader-elect=false",
		"--secure-port=0", "--kube-api-qps=500", "--kube-api-burst=1000", "--profiling=false")
}

// StartNode starts node i, also again after it was killed.
func (c *Cluster) StartNode(i int) error {
	for _, dir := range []string{c.nodeBPF(i), c.NodeCgroup(i), c.nodeDir(i)} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	netns := filepath.Join(netnsDir, c.netns(i))
	err := c.start(i, kubelet, nil, append(c.inNetns(i), filepath.Join(c.Bin, "rig"), "node", "-cluster="+c.Name,
		"-node-name="+nodeName(i), "-ips="+joined(nodeIPs(i)), "-pod-cidrs="+joined(nodePodCIDRs(i)), "-netns="+netns,
		"-kubeconfig="+c.Kubeconfig(), "-state="+c.nodeDir(i), "-bin="+c.Bin, "-images="+c.Images,
		"-cgroup="+c.NodeCgroup(i), "-bpffs="+c.nodeBPF(i), "-api-server="+nodeIPs(1)[0]+":6443")...)
	if err != nil || !c.KubeProxy {
		return err
	}
	// conntrack limits are not namespaced, so kube-proxy must not try to set them
	return c.start(i, "kube-proxy", nil, append(c.inNetns(i), c.kube(), "kube-proxy", "--kubeconfig="+c.Kubeconfig(),
		"--proxy-mode=nftables", "--hostname-override="+nodeName(i), "--cluster-cidr="+podCIDRs,
		"--metrics-bind-address=127.0.0.1:10249",
		"--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0")...)
}

// Down stops everything: nodes first, which kill their pods.
func (c *Cluster) Down() {
	var nodes, control []program
	for _, p := range c.running() {
		if strings.HasPrefix(p.name, "control/") {
			control = append(control, p)
		} else {
			nodes = append(nodes, p)
		}
	}
	stop(5*time.Second, nodes)
	stop(3*time.Second, control)
	c.clear()
}

// Status lists the programs with their resident memory in MiB.
func (c *Cluster) Status() {
	for _, p := range c.running() {
		for _, pid := range p.pids {
			fmt.Printf("%-32s pid %-8d RSS %4d MiB\n", p.name, pid, residentKiB(pid)/1024)
		}
	}
}

func residentKiB(pid int) int {
	raw, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	kib := 0
	for line := range strings.Lines(string(raw)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &kib)
	}
	return kib
}

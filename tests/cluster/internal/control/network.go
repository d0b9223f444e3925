// SPDX-License-Identifier: Apache-2.0

package control

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// createNetworks makes one namespace per node and one for a client outside. The first holds a bridge, the cluster's
// LAN, which the others' eth0 joins; every node routes every other node's pods over it. Nothing is made in the
// machine's own network. Dummy interfaces are avoided: not every kernel has them.
func (c *Cluster) createNetworks() error {
	for i := 1; i <= c.Nodes; i++ {
		if err := c.createNamespace(i); err != nil {
			return err
		}
	}
	return c.createNamespace(0)
}

func (c *Cluster) createNamespace(i int) error {
	if err := command("ip", "netns", "add", c.netns(i)); err != nil {
		return err
	}
	if err := c.setSysctls(i); err != nil { // before the first interface: some are defaults of later ones
		return err
	}
	lines := []string{"link set lo up"}
	index, device := i, "eth0"
	switch i {
	case 0:
		index = clientIndex
	case 1:
		device = "lan"
	}
	if i == 1 {
		lines = append(lines, "link add lan type bridge", "link set lan up")
	} else {
		port := fmt.Sprintf("port%d", i)
		lan := []string{
			fmt.Sprintf("link add %s type veth peer name eth0 netns %s", port, c.netns(i)),
			"link set " + port + " master lan up",
		}
		if err := ipBatch(c.netns(1), lan); err != nil {
			return err
		}
		lines = append(lines, "link set eth0 up")
	}
	ips := nodeIPs(index)
	lines = append(lines, "addr add "+ips[0]+"/24 dev "+device, "addr add "+ips[1]+"/64 dev "+device+" nodad")
	if i == 1 {
		// kube-proxy rewrites calls to ClusterIPs in the output hook, but only after a route was found
		lines = append(lines, "route add "+serviceCIDR4+" dev lan", "route add "+serviceCIDR6+" dev lan")
		// The client forwards nothing, but where a default route leads is what leads off the node: a bridge is
		// else taken for one of pods.
		client := nodeIPs(clientIndex)
		lines = append(lines, "route add default via "+client[0], "route add default via "+client[1])
	} else {
		first := nodeIPs(1)
		lines = append(lines, "route add default via "+first[0], "route add default via "+first[1])
	}
	for j := 1; j <= c.Nodes; j++ {
		if j != i {
			cidrs, via := nodePodCIDRs(j), nodeIPs(j)
			lines = append(lines, "route add "+cidrs[0]+" via "+via[0], "route add "+cidrs[1]+" via "+via[1])
		}
	}
	return ipBatch(c.netns(i), lines)
}

// setSysctls makes namespace i a router. A setting that this kernel does not have is left out.
func (c *Cluster) setSysctls(i int) error {
	settings := []string{
		"ipv4/conf/all/rp_filter=0", "ipv4/conf/default/rp_filter=0", "ipv4/ip_unprivileged_port_start=0",
		"ipv6/conf/all/accept_dad=0", "ipv6/conf/default/accept_dad=0",
		"ipv6/conf/all/disable_ipv6=0", "ipv6/conf/default/disable_ipv6=0",
	}
	if i != 0 {
		settings = append(settings, "ipv4/ip_forward=1", "ipv6/conf/all/forwarding=1")
	}
	if i == 1 { // or the first node's rules see traffic between two others
		settings = append(settings, "bridge/bridge-nf-call-iptables=0", "bridge/bridge-nf-call-ip6tables=0")
	}
	var script strings.Builder
	for _, setting := range settings {
		name, value, _ := strings.Cut(setting, "=")
		fmt.Fprintf(&script, "[ ! -e /proc/sys/net/%[1]s ] || echo %[2]s > /proc/sys/net/%[1]s || exit 1\n", name, value)
	}
	return command("nsenter", "--net="+filepath.Join(netnsDir, c.netns(i)), "sh", "-c", script.String())
}

// deleteNetworks removes the namespaces of nodes, pods and client, by their common prefix.
func (c *Cluster) deleteNetworks() {
	entries, _ := os.ReadDir(netnsDir)
	for _, e := range entries {
		if e.Name() == c.Name || strings.HasPrefix(e.Name(), c.Name+".") {
			_ = command("ip", "netns", "del", e.Name())
		}
	}
}

// inNetns is the beginning of a command line that runs in the network namespace of node i. `ip netns exec` would
// remount /sys and hide cgroups and bpffs from the command.
func (c *Cluster) inNetns(i int) []string {
	return []string{"nsenter", "--net=" + filepath.Join(netnsDir, c.netns(i)), "--"}
}

func ipBatch(netns string, lines []string) error {
	cmd := exec.Command("ip", "-n", netns, "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.Join(lines, "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("ip -n %s: %w: %s", netns, err, strings.TrimSpace(string(out)))
	}
	return nil
}

func command(argv ...string) error {
	if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", argv[0]+" "+argv[1], err, strings.TrimSpace(string(out)))
	}
	return nil
}

// SPDX-License-Identifier: Apache-2.0

package control

import (
	"fmt"
	"strings"
)

// Every cluster has the same addresses, of both families, in network namespaces of its own.
const (
	netnsDir     = "/run/netns"
	serviceCIDR4 = "10.96.0.0/16"
	serviceCIDR6 = "fd00:10:96::/112"
	serviceIP    = "10.96.0.1" // of the Service "kubernetes"
	podCIDRs     = "10.244.0.0/16,fd00:10:244::/48"
	clientIndex  = 250 // the client outside, an address of the LAN like a node's
	maxNodes     = 64
)

func nodeName(i int) string { return fmt.Sprintf("node-%d", i) }

// nodeIPs are the addresses of node i on the LAN, IPv4 first.
func nodeIPs(i int) [2]string {
	return [2]string{fmt.Sprintf("10.240.0.%d", i), fmt.Sprintf("fd00:10:240::%x", i)}
}

// nodePodCIDRs are the addresses of node i's pods, IPv4 first.
func nodePodCIDRs(i int) [2]string {
	return [2]string{fmt.Sprintf("10.244.%d.0/24", i), fmt.Sprintf("fd00:10:244:%x::/64", i)}
}

func joined(pair [2]string) string { return strings.Join(pair[:], ",") }

// netns is the network namespace of node i; of the client outside for 0. The first node's is the cluster's own: the
// control plane is there, too.
func (c *Cluster) netns(i int) string {
	switch i {
	case 0:
		return c.Name + ".client"
	case 1:
		return c.Name
	}
	return c.Name + "." + nodeName(i)
}

// SPDX-License-Identifier: Apache-2.0

// Command rig runs Kubernetes clusters on one Linux machine without containers: the real control plane, and nodes that
// run pods as processes.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"weir.test/cluster/internal/control"
	"weir.test/cluster/internal/node"
)

const usage = `usage: rig COMMAND [FLAGS] [-- COMMAND]
  up         start a cluster: control plane, nodes, kubeconfig
  down       stop it and remove everything of it but its logs
  status     its programs and their memory
  exec       run a command in the network and cgroup of a node (-node N; 0: a client outside), KUBECONFIG set
  spawn      start a program on a node in the background: rig spawn -node N -program NAME -- COMMAND
  stop       stop such a program: rig stop -node N -program NAME
  start      start the kubelet stand-in of a node again that was killed: rig start -node N
  api-stop   stop API server and etcd; nodes and pods go on
  api-start  start them again
  node       one node (started by up)
`

// inside marks the process that up and api-start continue in, in the cluster's network namespace.
const inside = "RIG_INSIDE=1"

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "rig:", err)
		os.Exit(1)
	}
}

func run(name string, args []string) error {
	if name == "node" {
		return runNode(args)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	var c control.Cluster
	var member int
	var program string
	set := flag.NewFlagSet(name, flag.ExitOnError)
	set.Usage = func() {
		fmt.Fprint(os.Stderr, usage)
		set.PrintDefaults()
	}
	set.StringVar(&c.Name, "name", "weir", "name of the cluster and of its network namespace")
	set.StringVar(&c.Dir, "dir", filepath.Join(os.TempDir(), "rig"), "state, logs and kubeconfig")
	set.StringVar(&c.Bin, "bin", filepath.Dir(self), "directory of the programs")
	set.StringVar(&c.Images, "images", "images.json", "image table")
	set.IntVar(&c.Nodes, "nodes", 1, "number of nodes")
	set.BoolVar(&c.KubeProxy, "kube-proxy", false, "run kube-proxy (nftables) on every node")
	set.BoolVar(&c.Light, "light", false, "etcd and API server only")
	set.IntVar(&member, "node", 1, "the node that is meant")
	set.StringVar(&program, "program", "", "name of a program of a node")
	_ = set.Parse(args)
	for _, path := range []*string{&c.Dir, &c.Bin, &c.Images} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("%s needs root: network namespaces and cgroups", name)
	}
	if err := c.Check(); err != nil {
		return err
	}
	again := append([]string{self, name}, args...)
	switch name {
	case "up":
		if os.Getenv("RIG_INSIDE") != "" {
			return c.Up()
		}
		if err := c.Prepare(); err != nil {
			return err
		}
		return c.Enter(again, inside)
	case "api-start":
		if os.Getenv("RIG_INSIDE") != "" {
			return c.StartAPIServer()
		}
		return c.Enter(again, inside)
	case "api-stop":
		c.StopAPIServer()
		return nil
	case "down":
		c.Down()
		return nil
	case "status":
		c.Status()
		return nil
	case "start":
		return c.StartNode(member)
	case "spawn":
		return c.Spawn(member, program, set.Args())
	case "stop":
		return c.Stop(member, program, 10*time.Second)
	case "exec":
		return c.Exec(member, set.Args())
	}
	fmt.Fprint(os.Stderr, usage)
	os.Exit(2)
	return nil
}

func runNode(args []string) error {
	var cfg node.Config
	var ips, cidrs string
	set := flag.NewFlagSet("node", flag.ExitOnError)
	set.StringVar(&cfg.Cluster, "cluster", "", "name of the cluster")
	set.StringVar(&cfg.Name, "node-name", "", "name of the Node")
	set.StringVar(&ips, "ips", "", "its addresses, IPv4 first")
	set.StringVar(&cidrs, "pod-cidrs", "", "its pods' addresses, IPv4 first")
	set.StringVar(&cfg.NetNS, "netns", "", "path of its network namespace")
	set.StringVar(&cfg.Cgroup, "cgroup", "", "cgroup of everything on it")
	set.StringVar(&cfg.BPF, "bpffs", "", "what it takes for /sys/fs/bpf")
	set.StringVar(&cfg.StateDir, "state", "", "directory of its state")
	set.StringVar(&cfg.BinDir, "bin", "", "directory of podinit and of the images' programs")
	set.StringVar(&cfg.Images, "images", "", "image table")
	set.StringVar(&cfg.Kubeconfig, "kubeconfig", "", "client configuration")
	set.StringVar(&cfg.APIServer, "api-server", "", "host:port of the API server, as pods see it")
	_ = set.Parse(args)
	cfg.IPs, cfg.PodCIDRs = strings.Split(ips, ","), strings.Split(cidrs, ",")
	if len(cfg.IPs) != 2 || len(cfg.PodCIDRs) != 2 {
		return fmt.Errorf("a node has an address and pods of each family")
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return node.Run(ctx, cfg)
}

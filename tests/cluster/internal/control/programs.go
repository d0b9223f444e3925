// SPDX-License-Identifier: Apache-2.0

package control

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"weir.test/cluster/internal/cgroup"
)

// A program of the cluster runs in the background in a cgroup of its own, which says whether it runs, with its output
// in log/NAME.log. Places below the cluster's cgroup:
//
//	control/NAME                                  the control plane
//	node-N/system/NAME                            programs of a node: the kubelet stand-in, kube-proxy, agents
//	node-N/kubepods/pod<uid>/<container>          made by the node
//
// So node-N is what a per-node agent takes for the whole machine's cgroup.

func (c *Cluster) cgroupRoot() string { return filepath.Join(c.cgroups, c.Name) }

// NodeCgroup is the cgroup of everything that runs on node i.
func (c *Cluster) NodeCgroup(i int) string { return filepath.Join(c.cgroupRoot(), nodeName(i)) }

// place is the cgroup of a program; node 0 is the control plane.
func (c *Cluster) place(node int, name string) string {
	if node == 0 {
		return filepath.Join(c.cgroupRoot(), "control", name)
	}
	return filepath.Join(c.NodeCgroup(node), "system", name)
}

// start runs a program in the background.
func (c *Cluster) start(node int, name string, env []string, argv ...string) error {
	place := c.place(node, name)
	if pids := cgroup.Pids(place); len(pids) > 0 {
		return fmt.Errorf("%s runs already, pid %d", name, pids[0])
	}
	output, err := os.Create(c.logFile(node, name))
	if err != nil {
		return err
	}
	defer output.Close()
	group, err := cgroup.Open(place)
	if err != nil {
		return err
	}
	defer group.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(group.Fd())}
	return cmd.Start()
}

func (c *Cluster) logFile(node int, name string) string {
	if node != 0 && name != kubelet {
		name = nodeName(node) + "." + name
	} else if node != 0 {
		name = nodeName(node)
	}
	return filepath.Join(c.Dir, "log", name+".log")
}

// program is one that runs.
type program struct {
	name  string // as its place below the cluster's cgroup
	place string
	pids  []int
}

// running lists programs that run: those of nodes before those of the control plane.
func (c *Cluster) running() []program {
	var list []program
	for _, pattern := range []string{"node-*/system/*", "control/*"} {
		places, _ := filepath.Glob(filepath.Join(c.cgroupRoot(), pattern))
		for _, place := range places {
			if pids := cgroup.Pids(place); len(pids) > 0 {
				name, _ := filepath.Rel(c.cgroupRoot(), place)
				list = append(list, program{strings.Replace(name, "/system/", "/", 1), place, pids})
			}
		}
	}
	return list
}

// stop ends programs together: SIGTERM to all their processes, and SIGKILL for what is there after the grace time.
func stop(grace time.Duration, programs []program) {
	for _, p := range programs {
		for _, pid := range p.pids {
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
	}
	gone := func(p program) bool { return len(cgroup.Pids(p.place)) == 0 }
	for deadline := time.Now().Add(grace); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if !slices.ContainsFunc(programs, func(p program) bool { return !gone(p) }) {
			break
		}
	}
	for _, p := range programs {
		cgroup.Remove(p.place)
	}
}

// environment tells a program of node i, or an interactive command there, where it is.
func (c *Cluster) environment(i int) []string {
	env := []string{
		"KUBECONFIG=" + c.Kubeconfig(),
		"KUBECACHEDIR=" + filepath.Join(c.Dir, "kubectl"), // kubectl's own is by host and port, the same in every cluster
		"CLUSTER=" + c.Name, "CLUSTER_DIR=" + c.Dir,
	}
	if i == 0 {
		return env
	}
	ips := nodeIPs(i)
	return append(env, "NODE_NAME="+nodeName(i), "NODE_IP="+ips[0], "NODE_IP6="+ips[1], "NODE_CGROUP="+c.NodeCgroup(i),
		"NODE_BPFFS="+c.nodeBPF(i), "NODE_DIR="+c.nodeDir(i))
}

// Spawn starts argv on node i in the background, as a service of the machine would run: in the node's network and
// cgroup, with NODE_NAME, NODE_CGROUP, NODE_BPFFS, … in its environment.
func (c *Cluster) Spawn(i int, name string, argv []string) error {
	if i < 1 || len(argv) == 0 || name == "" || strings.Contains(name, "/") {
		return errors.New("spawn needs a node, a name and a command")
	}
	if err := c.hasNode(i); err != nil {
		return err
	}
	return c.start(i, name, c.environment(i), append(c.inNetns(i), argv...)...)
}

// Stop ends a program of node i that Spawn started.
func (c *Cluster) Stop(i int, name string, grace time.Duration) error {
	place := c.place(i, name)
	pids := cgroup.Pids(place)
	if len(pids) == 0 {
		return fmt.Errorf("%s does not run on %s", name, nodeName(i))
	}
	stop(grace, []program{{name, place, pids}})
	return nil
}

// Enter replaces this process by argv inside the network namespace of the control plane.
func (c *Cluster) Enter(argv []string, extra ...string) error { return c.replace(1, argv, extra) }

// Exec replaces this process by argv inside the network namespace and the cgroup of node i; 0 is the client outside.
func (c *Cluster) Exec(i int, argv []string) error {
	if len(argv) == 0 {
		return errors.New("no command")
	}
	if err := c.hasNode(i); err != nil {
		return err
	}
	if i > 0 {
		if err := cgroup.Enter(c.place(i, "exec")); err != nil {
			return err
		}
	}
	return c.replace(i, argv, nil)
}

// hasNode refuses a node that has no network.
func (c *Cluster) hasNode(i int) error {
	if _, err := os.Stat(filepath.Join(netnsDir, c.netns(i))); err != nil {
		return fmt.Errorf("cluster %s is not up, or has no node %d: %w", c.Name, i, err)
	}
	return nil
}

func (c *Cluster) replace(i int, argv, extra []string) error {
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return err
	}
	env := append(append(os.Environ(), c.environment(i)...), extra...)
	return syscall.Exec(nsenter, append(c.inNetns(i), argv...), env)
}

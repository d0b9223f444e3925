// SPDX-License-Identifier: Apache-2.0

package node

import (
	"path/filepath"
	"syscall"

	"weir.test/cluster/internal/cgroup"
)

func (w *worker) cgroup() string { return filepath.Join(w.node.cgroup, "pod"+string(w.pod().UID)) }

// enterCgroup makes a process start in the container's cgroup: a node's pods are one subtree, so that cgroup programs
// of one node's agent see that node's pods only. The returned function is to be called after the start.
func (c *container) enterCgroup(attr *syscall.SysProcAttr) (func(), error) {
	f, err := cgroup.Open(filepath.Join(c.pod.cgroup(), c.spec.Name))
	if err != nil {
		return nil, err
	}
	attr.UseCgroupFD, attr.CgroupFD = true, int(f.Fd())
	return func() { f.Close() }, nil
}

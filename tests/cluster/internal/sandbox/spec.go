// SPDX-License-Identifier: Apache-2.0

// Package sandbox is what the node tells podinit about one container.
package sandbox

// Spec describes a container to podinit, as JSON in a file.
type Spec struct {
	NetNS        string   // path of the network namespace
	Hostname     string   // in the container's own UTS namespace
	Root         string   // empty directory to build the root file system on
	Image        string   // unpacked image to take the place of the machine's programs; empty: none
	Mounts       []Mount  // in this order
	Argv         []string // Argv[0] is looked up in the PATH of Env, inside the new root
	Env          []string // NAME=value
	Dir          string   // working directory inside the new root
	UID, GID     *int     // nil: root
	Privileged   bool     // else /sys and /proc/sys are read-only, and Capabilities holds
	Capabilities uint64   // bit n: capability number n may be had
	NoNewPrivs   bool
	ReadOnlyRoot bool
}

// Mount makes Source (a path of the machine) visible at Target (a path in the container).
type Mount struct {
	Source, Target string
	ReadOnly       bool
}

// SPDX-License-Identifier: Apache-2.0

package node

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"weir.test/cluster/internal/sandbox"
)

// capabilities by their number (include/uapi/linux/capability.h).
var capabilities = []string{"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID",
	"SETPCAP", "LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER",
	"SYS_MODULE", "SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE",
	"SYS_RESOURCE", "SYS_TIME", "SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP",
	"MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG", "WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF",
	"CHECKPOINT_RESTORE"}

// usual are the capabilities that containerd gives a container that asks for none.
var usual = []string{"CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP",
	"SETPCAP", "NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE"}

const allCapabilities = ^uint64(0)

// capabilityBits adds up names; ALL is every one.
func capabilityBits(names []string) (uint64, error) {
	bits := uint64(0)
next:
	for _, name := range names {
		name = strings.TrimPrefix(strings.ToUpper(name), "CAP_")
		if name == "ALL" {
			bits = allCapabilities
			continue
		}
		for number, known := range capabilities {
			if name == known {
				bits |= 1 << number
				continue next
			}
		}
		return 0, fmt.Errorf("unknown capability %q", name)
	}
	return bits, nil
}

// secure applies a container's security context, as far as the rig has it, to what podinit is told.
func (c *container) secure(spec *sandbox.Spec) error {
	var podUser, podGroup, user, group *int64
	if s := c.pod.pod().Spec.SecurityContext; s != nil {
		podUser, podGroup = s.RunAsUser, s.RunAsGroup
	}
	added, dropped := []corev1.Capability{}, []corev1.Capability{}
	if s := c.spec.SecurityContext; s != nil {
		user, group = s.RunAsUser, s.RunAsGroup
		if s.Capabilities != nil {
			added, dropped = s.Capabilities.Add, s.Capabilities.Drop
		}
		spec.Privileged = s.Privileged != nil && *s.Privileged
		spec.NoNewPrivs = s.AllowPrivilegeEscalation != nil && !*s.AllowPrivilegeEscalation
		spec.ReadOnlyRoot = s.ReadOnlyRootFilesystem != nil && *s.ReadOnlyRootFilesystem
	}
	spec.UID, spec.GID = firstID(user, podUser), firstID(group, podGroup)
	bits, _ := capabilityBits(usual)
	minus, err := capabilityBits(names(dropped))
	if err != nil {
		return err
	}
	plus, err := capabilityBits(names(added))
	if err != nil {
		return err
	}
	spec.Capabilities = bits&^minus | plus
	return nil
}

func names(list []corev1.Capability) []string {
	var out []string
	for _, c := range list {
		out = append(out, string(c))
	}
	return out
}

func firstID(ids ...*int64) *int {
	for _, id := range ids {
		if id != nil {
			n := int(*id)
			return &n
		}
	}
	return nil
}

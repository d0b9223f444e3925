/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Kernel constants that the uapi headers hide behind libc ones.  No vmlinux.h:
 * no program here reads a kernel structure.
 */
#ifndef WEIR_BPF_KERN_H
#define WEIR_BPF_KERN_H

#include <stdbool.h>
#include <stddef.h>

#include <linux/in.h>

#define AF_INET 2
#define AF_INET6 10

#define ENOENT 2
#define EEXIST 17
#define ECONNREFUSED 111

#define PACKET_HOST 0
#define PACKET_MULTICAST 2 /* 1 is broadcast */

#endif

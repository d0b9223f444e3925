/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map, with its writer.  Keys and values: include/weir_abi.h.  Sizes of
 * 1 are placeholders: the loader sets them from its options (agent/kernel/
 * load.c).  All are pinned by name and shared by all objects, so that programs
 * can be replaced one by one while the tables stay.
 *
 * Maps that user space writes with plain stores are BPF_F_MMAPABLE.
 */
#ifndef WEIR_BPF_MAPS_H
#define WEIR_BPF_MAPS_H

#include <linux/types.h>

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "weir_abi.h"

/* Frontends.  Writer: agent, by system call. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct weir_fe_key);
	__type(value, struct weir_fe);
} weir_fe SEC(".maps");

/* fid -> row: the published 8 bytes.  Writer: agent, by store. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct weir_index);
} weir_svc SEC(".maps");

/* Pool of rows: a header element, then its slots.  Element 0 is never used:
 * all zero, it says "pass".  Writer: agent, by store. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct weir_slot);
} weir_row SEC(".maps");

/* gid -> endpoints: the published 8 bytes.  Writer: agent, by store. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct weir_index);
} weir_set SEC(".maps");

/* Pool of endpoint runs: a header element, then its endpoints.  Writer: agent,
 * by store. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct weir_ep);
} weir_ep SEC(".maps");

/* Endpoint id -> generation, odd while it may be chosen.  Writer: agent.  Eight
 * bytes because elements of an array are eight bytes apart. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u64);
} weir_epgen SEC(".maps");

/* Choices made so far by this CPU, level 1 by fid, level 2 by gid: one counter
 * each, or a group would see only its part of the unit interval. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u32);
} weir_weyl1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u32);
} weir_weyl2 SEC(".maps");

/* Counters per backendRef and per endpoint; shared, atomic adds.  Writers: the
 * programs; the agent zeroes an element and sets its key before it is named. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct weir_refstat);
} weir_refstat SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct weir_epstat);
} weir_epstat SEC(".maps");

/* What a connected socket asked for and got, by socket cookie.  Preallocated:
 * an insert costs a fifteenth of making socket storage.  Writers: connect;
 * account and release update and remove. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u64);
	__type(value, struct weir_sk);
} weir_conn SEC(".maps");

/* The same where weir_conn is full, and the mark of unconnected sockets that
 * have picks in weir_udp: lives as long as its socket, whatever happens. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, int);
	__type(value, struct weir_sk);
} weir_sk SEC(".maps");

/* Puts an entry into a table that evicts by use, and marks it as used: what
 * nobody looked up since it came is evicted before everything else, so a full
 * table would forget it before its answer is back (__local_list_flush() in
 * kernel/bpf/bpf_lru_list.c). */
static __always_inline long weir_lru_put(void *map, const void *key,
					 const void *value, __u64 flags)
{
	long r = bpf_map_update_elem(map, key, value, flags);

	if (!r) {
		bpf_map_lookup_elem(map, key);
	}
	return r;
}

/* Picks of unconnected datagram sockets.  Writer: sendmsg. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct weir_udp_key);
	__type(value, struct weir_udp_val);
} weir_udp SEC(".maps");

/* Rewrites of the packet plane.  Writer: packet; the agent expires them. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct weir_flow_key);
	__type(value, struct weir_flow);
} weir_flow SEC(".maps");

/* Ends of packets that weir_flow or weir_fe may know.  Writers: packet, the
 * agent; bits are set atomically and never cleared. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, WEIR_SIEVE_WORDS);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u64);
} weir_sieve SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct weir_frag_key);
	__type(value, struct weir_frag);
} weir_frag SEC(".maps");

/* Interfaces that the packet plane guards, by ifindex.  Writer: agent, after
 * its programs are attached there. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct weir_if);
} weir_if SEC(".maps");

/* Gateways' addresses on LANs.  Writer: agent; the program takes flags away. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, struct weir_ip);
	__type(value, struct weir_lan);
} weir_lan SEC(".maps");

/* Events by WEIR_COUNT_*. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, _WEIR_COUNT_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u64);
} weir_count SEC(".maps");

/* The proxy's listeners by WEIR_SOCK_*.  Writer: agent; a closed socket leaves
 * by itself. */
struct {
	__uint(type, BPF_MAP_TYPE_SOCKMAP);
	__uint(max_entries, _WEIR_SOCK_MAX);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, __u64);
} weir_sock SEC(".maps");

/* Whose sockets are left alone: processes, cgroup ids, netns cookies.  Writer:
 * agent, of the first by store. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct weir_self);
} weir_self SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u64);
	__type(value, __u8);
} weir_skipcg SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u64);
	__type(value, __u8);
} weir_skipns SEC(".maps");

/* Who made this directory.  Writer: agent. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
	__type(key, __u32);
	__type(value, struct weir_meta);
} weir_meta SEC(".maps");

#endif

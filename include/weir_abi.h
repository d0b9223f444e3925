/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The kernel/user ABI: keys, values and sentinels of every BPF map.
 *
 * Rules: fixed-width types only, explicit zeroed padding, sizes asserted.
 * Addresses are 16 bytes in network order; IPv4 is v4-mapped (::ffff:a.b.c.d).
 * Ids start at 1: zero-filled memory names nothing and so fails closed.
 * Any change of layout bumps WEIR_ABI_VERSION, which is part of the pin path.
 *
 * Publication (see bpf/README.md): elements of weir_row and weir_ep are
 * written first and never changed while reachable; the 8-byte weir_index that
 * names them is stored last, in one aligned store; what it named before is
 * quarantined before reuse.
 */
#ifndef WEIR_ABI_H
#define WEIR_ABI_H

#include "weir_pick.h"

#define WEIR_ABI_VERSION 3

/* Sentinels in weir_slot.group: the share of a backendRef that cannot serve. */
#define WEIR_GROUP_NONE 0u
#define WEIR_GROUP_INVALID 0xFFFFFFFFu /* unresolved ref: 500 / refused */
#define WEIR_GROUP_EMPTY 0xFFFFFFFEu   /* no ready endpoint: 503 / refused */
#define WEIR_GROUP_MAX 0xFFFFFF00u     /* ids at or above are sentinels */

#define WEIR_ROW_SLOTS_MAX 64 /* slots in a kernel row; more: proxy plane */

struct weir_ip {
	__be32 a[4];
};

/* weir_fe (hash) key: an address that weir takes. */
struct weir_fe_key {
	struct weir_ip addr;
	__be16 port_be;
	__u8 proto; /* IPPROTO_TCP or IPPROTO_UDP */
	__u8 pad;
};

/* weir_fe value.  Static for the life of the entry: what changes lives behind
 * weir_svc[fid]. */
struct weir_fe {
	__u32 fid;   /* index into weir_svc, >= 1 */
	__u32 flags; /* WEIR_FE_* */
};
#define WEIR_FE_STEER                                                          \
	1u /* address is local: sk_lookup takes it to the proxy                \
	    */

/* weir_svc[fid] and weir_set[gid]: the published 8 bytes. */
struct weir_index {
	__u32 first; /* weir_svc: element in weir_row; weir_set: in weir_ep */
	__u32 n;     /* weir_svc: low 32 bits of the generation;
		      * weir_set: number of endpoints from first on */
};

/* First element of a row in weir_row; n slots (struct weir_slot) follow. */
struct weir_row_hdr {
	__u32 n; /* slots, <= WEIR_ROW_SLOTS_MAX; 0 with no plane flag: pass */
	__u32 flags; /* WEIR_ROW_* */
	__u32 proxy; /* index in the proxy prefix, 0 none (WEIR_ROW_PROXY) */
	__u32 stat;  /* counter index of the rule */
};
#define WEIR_ROW_CONNECT 1u /* connect plane decides */
#define WEIR_ROW_PACKET 2u  /* packet plane decides */
#define WEIR_ROW_PROXY 4u   /* rewrite to the proxy prefix */
#define WEIR_ROW_KEYED 8u   /* client affinity: keyed choice of the endpoint */

/* weir_ep element. */
struct weir_ep {
	struct weir_ip addr;
	__be16 port_be;
	__u16 flags; /* WEIR_EP_* */
	__u32 id;    /* index into weir_epstat/weir_epgen, >= 1 */
};
#define WEIR_EP_LOCAL 1u /* on this node: its replies pass here */

/* weir_epgen[id] (__u64): odd while the endpoint may be chosen; changes
 * whenever it leaves, so that cached picks notice. */

/* weir_refstat[stat]: decisions per backendRef, kernel planes. */
struct weir_refstat {
	__u64 key;            /* identity of the backendRef, 0: none yet */
	__u64 picked_connect; /* sockets or datagram associations */
	__u64 picked_packet;  /* flows */
	__u64 refused;        /* choices that fell on a sentinel or empty set */
	__u64 opened;         /* connections established or flows begun */
	__u64 closed;         /* of these, ended */
	__u64 failed;         /* connects that never got established */
	__u64 flows;          /* of what is open, flows of the packet plane */
};

/* weir_epstat[id]: per endpoint, written by sockops, packet and udp hooks. */
struct weir_epstat {
	__u64 opened;
	__u64 closed;
	__u64 failed;
	__u64 tx_bytes;   /* client to endpoint */
	__u64 rx_bytes;   /* endpoint to client */
	__u64 rtt_us_sum; /* smoothed RTT at close, summed */
	__u64 rtt_count;
	__u64 key;   /* identity of the endpoint: survives an agent restart */
	__u64 flows; /* of what is open, flows of the packet plane */
};

/* weir_conn (hash by socket cookie), weir_sk (sk_storage): where a socket
 * wanted to go and where it went. */
struct weir_sk {
	struct weir_ip orig_addr;
	struct weir_ip ep_addr;
	__be16 orig_port_be;
	__be16 ep_port_be;
	__u32 ep_id;
	__u32 stat;  /* backendRef counter */
	__u32 state; /* WEIR_SK_* */
};
#define WEIR_SK_PICKED 1u  /* connected to an endpoint */
#define WEIR_SK_OPENED 2u  /* counted as opened, closed is still to come */
#define WEIR_SK_WATCHED 8u /* account sees it close, and removes it then */
#define WEIR_SK_ASSOCS 4u  /* has picks in weir_udp */

/* weir_udp (LRU hash): picks of unconnected datagram sockets.  dir 0: by
 * (socket, frontend); dir 1: by (socket, endpoint). */
struct weir_udp_key {
	__u64 cookie;
	struct weir_ip addr;
	__be16 port_be;
	__u8 dir;
	__u8 pad[5];
};
struct weir_udp_val {
	struct weir_ip addr;
	__be16 port_be;
	__u16 pad;
	__u32 ep_id;
	__u32 ep_gen;     /* weir_epgen when picked */
	__u32 generation; /* weir_svc generation when last checked */
	__u32 gid;        /* group of the endpoint */
	__u32 stat;       /* backendRef counter */
	__u32 fid;        /* frontend */
	__u32 pad2;
	__u64 seen_ns; /* bpf_ktime_get_ns of the last datagram, coarse */
};

/* weir_ep: the element before a group's first endpoint.  Never chosen. */
struct weir_ep_hdr {
	__u64 key; /* identity of the group: survives an agent restart */
	__u64 pad[2];
};

/* Both ends of a packet. */
struct weir_tuple {
	struct weir_ip saddr;
	struct weir_ip daddr;
	__be16 sport_be;
	__be16 dport_be;
};

/* weir_flow (LRU hash): one rewrite.  A flow has one entry per place where its
 * packets are changed (bpf/README.md, "The packet plane"). */
struct weir_flow_key {
	struct weir_tuple from; /* as seen there */
	__u8 proto;
	__u8 dir; /* WEIR_DIR_* : the hook that applies it */
	__u16 pad;
};
#define WEIR_DIR_INGRESS 0
#define WEIR_DIR_EGRESS 1

struct weir_flow {
	struct weir_tuple to; /* as it shall be */
	__u32 state;          /* kind and WEIR_FLOW_*, or-ed in atomically */
	__u64 seen_ns; /* monotonic, coarse: written once a second at most */
	__u64 bytes;   /* since the last sum was moved to weir_epstat */
	__u32 ep_id;
	__u32 ep_gen;
	__u32 stat;
	__u32 fid;
};
#define WEIR_FLOW_KIND 7u     /* mask of the kind in state */
#define WEIR_FLOW_FORWARD 1u  /* client -> frontend, at ingress */
#define WEIR_FLOW_REVERSE 2u  /* endpoint -> client, towards the client */
#define WEIR_FLOW_SNAT 3u     /* client -> endpoint, leaving the node */
#define WEIR_FLOW_UNSNAT 4u   /* endpoint -> node, coming back */
#define WEIR_FLOW_FIN_FWD 16u /* seen, in FORWARD and REVERSE alike */
#define WEIR_FLOW_FIN_REV 32u
#define WEIR_FLOW_RST 64u
#define WEIR_FLOW_REPLY 128u     /* the endpoint answered: established */
#define WEIR_FLOW_COUNTED 256u   /* FORWARD: its end was counted */
#define WEIR_FLOW_SNATTED 512u   /* FORWARD: has SNAT and UNSNAT entries */
#define WEIR_FLOW_SHORTCUT 1024u /* goes past the stack, both ways */

/* weir_sieve (array): words of the bits that weir_sieve.h names.  A power of
 * two: 32 768 ends, in few enough pages to stay in the TLB. */
#define WEIR_SIEVE_WORDS 2048u

/* weir_frag (LRU hash): ports of a datagram whose first fragment was seen. */
struct weir_frag_key {
	struct weir_ip saddr;
	struct weir_ip daddr;
	__be32 id_be;
	__u8 proto;
	__u8 dir;
	__u16 pad;
};
struct weir_frag {
	__u64 seen_ns; /* monotonic, coarse: when the first one came */
	__be16 sport_be;
	__be16 dport_be;
	__u32 pad;
};

/* weir_if (hash by ifindex): what the packet plane knows of an interface. */
struct weir_if {
	struct weir_ip node4; /* address for SNAT when leaving here, or 0 */
	struct weir_ip node6;
	__u32 flags; /* WEIR_IF_* */
	__u8 mac[6]; /* its own, zero where it has none */
	__u16 pad;
};
#define WEIR_IF_EXTERNAL 1u /* leads off the node: its clients are not pods */
#define WEIR_IF_PEER 2u     /* veth: redirect_peer is possible */

/* weir_lan (hash by address): who answers ARP and neighbour solicitations for a
 * Gateway's address on the LANs that this node is on.  What is not there is
 * left to the kernel. */
struct weir_lan {
	__u32 ifindex; /* the interface that faces its LAN, 0: any external */
	__u32 flags;   /* WEIR_LAN_*, taken away atomically by the program */
};
#define WEIR_LAN_ANSWERS 1u /* this node, until weir_meta.lan_until_ns */
#define WEIR_LAN_YIELDS 2u  /* no longer when another node says it does */

/* weir_count[reason] (per-CPU array): every hand-up, drop and oddity. */
#define WEIR_COUNTERS(X)                                                       \
	X(CONNECT_PICKED, "connect: sockets given an endpoint")                \
	X(CONNECT_PROXIED, "connect: sockets sent to the proxy prefix")        \
	X(CONNECT_REFUSED, "connect: no backend, refused")                     \
	X(CONNECT_BYPASSED, "connect: weir's own or excluded sockets")         \
	X(CONNECT_NOMEM, "connect: no socket storage, untouched")              \
	X(UDP_PICKED, "connect: datagram associations made")                   \
	X(UDP_REPICKED, "connect: associations whose endpoint was gone")       \
	X(PACKET_FLOWS, "packet: flows begun")                                 \
	X(PACKET_PROXIED, "packet: flows sent to the proxy prefix")            \
	X(PACKET_SNAT, "packet: flows that needed source translation")         \
	X(PACKET_REFUSED, "packet: no backend, reset or unreachable")          \
	X(PACKET_NO_PORT, "packet: no source port free, dropped")              \
	X(PACKET_NO_FLOW, "packet: flow table insert failed, passed up")       \
	X(PACKET_MIDSTREAM, "packet: segment of an unknown flow, passed up")   \
	X(PACKET_FRAG_MISS, "packet: fragment without a first, passed up")     \
	X(PACKET_ICMP, "packet: ICMP errors translated")                       \
	X(PACKET_MALFORMED, "packet: header did not parse, passed up")         \
	X(PACKET_PREFIX_DROP, "packet: proxy prefix from outside, dropped")    \
	X(PACKET_REDIRECTED, "packet: sent past the stack")                    \
	X(STEER_PROXY, "steer: connections and datagrams given to the proxy")  \
	X(STEER_NO_SOCKET, "steer: no listener in the proxy, passed")          \
	X(LAN_ANSWERED, "lan: asked for an address of this node, answered")    \
	X(LAN_ELSEWHERE, "lan: asked for one of another node, dropped")        \
	X(LAN_LAPSED, "lan: asked after this node's time was over, dropped")   \
	X(LAN_RENAMED, "lan: own ARP request in another node's name, mended")  \
	X(LAN_YIELDED, "lan: address left to the node that claimed it")        \
	X(LAN_CLAIMED, "lan: address of this node claimed by another host")

enum weir_counter {
#define WEIR_COUNTER_ENUM(name, help) WEIR_COUNT_##name,
	WEIR_COUNTERS(WEIR_COUNTER_ENUM)
#undef WEIR_COUNTER_ENUM
		_WEIR_COUNT_MAX
};

/* weir_sock (SOCKMAP) slots: the proxy's listeners. */
#define WEIR_SOCK_TCP4 0
#define WEIR_SOCK_TCP6 1
#define WEIR_SOCK_UDP4 2
#define WEIR_SOCK_UDP6 3
#define _WEIR_SOCK_MAX 4

/* Constants of one agent, in the read-only data of every object, set before
 * it is loaded. */
struct weir_conf {
	struct weir_ip prefix4; /* proxy prefix: base and mask, v4-mapped */
	struct weir_ip mask4;
	struct weir_ip prefix6;
	struct weir_ip mask6;
	__u64 netns_cookie;    /* of the agent */
	__u32 skip_levels;     /* bit n: weir_skipcg has cgroups of level n */
	__u32 loopback;        /* ifindex of lo, 0: ingress is not checked */
	__u8 has_self;         /* weir_self holds pids this kernel can match */
	__u8 has_skipns;       /* weir_skipns is not empty */
	__u8 has_retval;       /* bpf_set_retval: 5.18 */
	__u8 wants_accounting; /* sockops is attached */
	__u16 snat_first; /* reserved source ports, host order, inclusive */
	__u16 snat_last;
	__u8 wants_redirect; /* packet plane: past the stack, both ways */
	__u8 wants_storage;  /* sockets remember where they went */
	__u8 has_loop;       /* bpf_loop: 5.17 */
	__u8 pad;
};

/* weir_self[0] (array): weir's own processes, 0: none.  A handful, compared one
 * by one: cheaper than a hash at every connect(). */
#define WEIR_SELF_MAX 4
struct weir_self {
	__u32 tgid[WEIR_SELF_MAX];
};

/* weir_meta[0] (array): who made this directory. */
struct weir_meta {
	__u32 abi;
	__u32 agent_pid;
	__u64 generation; /* last plan published to the maps in full */
	__u64 netns_cookie;
	__u64 lan_until_ns; /* CLOCK_MONOTONIC: what ends if the agent does */
};

_Static_assert(sizeof(struct weir_fe_key) == 20, "ABI");
_Static_assert(sizeof(struct weir_index) == 8, "ABI: one aligned store");
_Static_assert(sizeof(struct weir_row_hdr) == sizeof(struct weir_slot), "ABI");
_Static_assert(sizeof(struct weir_ep) == 24, "ABI");
_Static_assert(sizeof(struct weir_ep_hdr) == sizeof(struct weir_ep), "ABI");
_Static_assert(sizeof(struct weir_refstat) == 64, "ABI");
_Static_assert(sizeof(struct weir_epstat) == 72, "ABI");
_Static_assert(sizeof(struct weir_udp_val) == 56, "ABI");
_Static_assert(sizeof(struct weir_sk) == 48, "ABI");
_Static_assert(sizeof(struct weir_flow_key) == 40, "ABI");
_Static_assert(sizeof(struct weir_flow) == 72, "ABI");
_Static_assert(sizeof(struct weir_udp_key) == 32, "ABI");
_Static_assert(sizeof(struct weir_frag_key) == 40, "ABI");
_Static_assert(sizeof(struct weir_frag) == 16, "ABI");
_Static_assert(sizeof(struct weir_self) == 16, "ABI");
_Static_assert(sizeof(struct weir_if) == 44, "ABI");
_Static_assert(sizeof(struct weir_lan) == 8, "ABI");

#endif

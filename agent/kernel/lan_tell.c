// SPDX-License-Identifier: Apache-2.0
/*
 * What a LAN is told, and what is heard from it: announcements by raw frames,
 * membership in solicited-node groups by proxy neighbour entries.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "addr.h"
#include "cleanup.h"
#include "lan.h"

struct arp_frame {
	uint8_t to[6];
	uint8_t from[6];
	uint16_t type_be;
	uint16_t link_be;
	uint16_t protocol_be;
	uint8_t link_len;
	uint8_t protocol_len;
	uint16_t op_be;
	uint8_t smac[6];
	uint8_t sip[4];
	uint8_t dmac[6];
	uint8_t dip[4];
};
_Static_assert(sizeof(struct arp_frame) == 42, "on the wire");

struct advert_frame {
	uint8_t to[6];
	uint8_t from[6];
	uint16_t type_be;
	uint8_t version; /* and the traffic class */
	uint8_t class_and_label[3];
	uint16_t length_be;
	uint8_t next;
	uint8_t hop_limit;
	uint8_t source[16];
	uint8_t destination[16];
	uint8_t message; /* ICMPv6 from here */
	uint8_t code;
	uint16_t sum_be;
	uint8_t flags[4];
	uint8_t target[16];
	uint8_t option;
	uint8_t option_len;
	uint8_t mac[6];
};
_Static_assert(sizeof(struct advert_frame) == 86, "on the wire");

int weir_lan_open(int *ret_fd)
{
	/* Protocol 0: receives nothing. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0) {
		return -errno;
	}
	*ret_fd = fd;
	return 0;
}

/* What is lost is told again. */
static void send_frame(int fd, const struct weir_netdev *d, const void *frame,
		       size_t n)
{
	struct sockaddr_ll to = {.sll_family = AF_PACKET,
				 .sll_ifindex = (int)d->ifindex,
				 .sll_halen = 6};

	memcpy(to.sll_addr, frame, 6);
	sendto(fd, frame, n, 0, (const struct sockaddr *)&to, sizeof(to));
}

static void tell4(int fd, const struct weir_netdev *d, const struct weir_ip *ip)
{
	struct arp_frame f = {.type_be = htons(ETH_P_ARP),
			      .link_be = htons(1),
			      .protocol_be = htons(ETH_P_IP),
			      .link_len = 6,
			      .protocol_len = 4,
			      .op_be = htons(1)};

	memset(f.to, 0xFF, 6);
	memcpy(f.from, d->mac, 6);
	memcpy(f.smac, d->mac, 6);
	memcpy(f.sip, &ip->a[3], 4);
	memcpy(f.dip, &ip->a[3], 4);
	send_frame(fd, d, &f, sizeof(f));
	f.op_be = htons(2);
	memset(f.dmac, 0xFF, 6);
	send_frame(fd, d, &f, sizeof(f));
}

static uint32_t add_words(uint32_t sum, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i + 1 < n; i += 2) {
		sum += (uint32_t)b[i] << 8 | b[i + 1];
	}
	return sum;
}

static void tell6(int fd, const struct weir_netdev *d, const struct weir_ip *ip)
{
	static const uint8_t all_nodes[16] = {0xFF, 0x02, [15] = 1};
	static const uint8_t all_nodes_mac[6] = {0x33, 0x33, 0, 0, 0, 1};
	struct advert_frame f = {.type_be = htons(ETH_P_IPV6),
				 .version = 0x60,
				 .length_be = htons(32),
				 .next = IPPROTO_ICMPV6,
				 .hop_limit = 255,
				 .message = 136,
				 .flags = {0x20}, /* override */
				 .option = 2,     /* target's link address */
				 .option_len = 1};
	uint32_t sum = 32 + IPPROTO_ICMPV6;

	memcpy(f.to, all_nodes_mac, 6);
	memcpy(f.from, d->mac, 6);
	memcpy(f.source, ip, 16);
	memcpy(f.destination, all_nodes, 16);
	memcpy(f.target, ip, 16);
	memcpy(f.mac, d->mac, 6);
	sum = add_words(sum, f.source, 32);
	sum = add_words(sum, &f.message, 32);
	sum = (sum & 0xFFFF) + (sum >> 16);
	sum = (sum & 0xFFFF) + (sum >> 16);
	f.sum_be = htons((uint16_t)~sum);
	send_frame(fd, d, &f, sizeof(f));
}

void weir_lan_tell(int fd, const struct weir_netdev *d,
		   const struct weir_ip *ip)
{
	if (fd < 0) {
		return;
	}
	if (weir_ip_is_v4(ip)) {
		tell4(fd, d, ip);
	} else {
		tell6(fd, d, ip);
	}
}

/* ------------------------------------------------------------ membership */

int weir_lan_place_cmp(const void *a, const void *b)
{
	const struct weir_lan_place *x = a, *y = b;
	int r = memcmp(&x->ip, &y->ip, sizeof(x->ip));

	return r ? r : (x->ifindex > y->ifindex) - (x->ifindex < y->ifindex);
}

struct places {
	struct weir_lan_place *v;
	size_t n;
	size_t cap;
};

static void places_fini(struct places *p)
{
	weir_free_ptr(&p->v);
}

/* arg: struct places *, takes our entries. */
static int take_entry(void *arg, const struct nlmsghdr *h)
{
	const struct ndmsg *nd = weir_rtnl_fixed(h, sizeof(*nd));
	const struct rtattr *dst = weir_rtnl_attr(h, sizeof(*nd), NDA_DST);
	const struct rtattr *protocol = weir_rtnl_attr(h, sizeof(*nd),
						       NDA_PROTOCOL);
	struct places *p = arg;

	if (h->nlmsg_type != RTM_NEWNEIGH || !nd ||
	    nd->ndm_family != AF_INET6 || !(nd->ndm_flags & NTF_PROXY) ||
	    !dst || dst->rta_len < RTA_LENGTH(16) || !protocol ||
	    protocol->rta_len < RTA_LENGTH(1) ||
	    *((const uint8_t *)protocol + RTA_LENGTH(0)) !=
		    WEIR_RTNL_PROTOCOL) {
		return 0;
	}
	if (p->n == p->cap) {
		size_t cap = p->cap ? p->cap * 2 : 16;
		struct weir_lan_place *v = reallocarray(p->v, cap, sizeof(*v));

		if (!v) {
			return -ENOMEM;
		}
		p->v = v;
		p->cap = cap;
	}
	memcpy(&p->v[p->n].ip, (const char *)dst + RTA_LENGTH(0), 16);
	p->v[p->n++].ifindex = (uint32_t)nd->ndm_ifindex;
	return 0;
}

static int change(int fd, uint16_t type, const struct weir_lan_place *place)
{
	struct ndmsg nd = {.ndm_family = AF_INET6,
			   .ndm_ifindex = (int)place->ifindex,
			   .ndm_state = NUD_PERMANENT,
			   .ndm_flags = NTF_PROXY};
	const uint8_t protocol = WEIR_RTNL_PROTOCOL;
	struct weir_rtnl_request rq;

	weir_rtnl_begin(&rq, type,
			type == RTM_NEWNEIGH ? NLM_F_CREATE | NLM_F_REPLACE : 0,
			&nd, sizeof(nd));
	weir_rtnl_add(&rq, NDA_DST, &place->ip, 16);
	weir_rtnl_add(&rq, NDA_PROTOCOL, &protocol, sizeof(protocol));
	return weir_rtnl_do(fd, &rq);
}

static bool has(const struct weir_lan_place *v, size_t n,
		const struct weir_lan_place *what)
{
	return n && bsearch(what, v, n, sizeof(*v), weir_lan_place_cmp);
}

int weir_lan_hear(const struct weir_lan_place *places, size_t n)
{
	struct ndmsg nd = {.ndm_family = AF_INET6, .ndm_flags = NTF_PROXY};
	_cleanup_(places_fini) struct places ours = {};
	struct weir_rtnl_request rq;
	_cleanup_close_ int fd = -1;
	int first = 0, r;

	r = weir_rtnl_open(&fd);
	if (r < 0) {
		return r;
	}
	weir_rtnl_begin(&rq, RTM_GETNEIGH, 0, &nd, sizeof(nd));
	r = weir_rtnl_dump(fd, &rq, take_entry, &ours);
	if (r < 0 && r != -EAGAIN) {
		/* A kernel without IPv6 has no such entries. */
		return r == -EOPNOTSUPP ? 0 : r;
	}
	if (ours.n) {
		qsort(ours.v, ours.n, sizeof(*ours.v), weir_lan_place_cmp);
	}
	for (size_t i = 0; i < n; i++) {
		if (!has(ours.v, ours.n, &places[i])) {
			r = change(fd, RTM_NEWNEIGH, &places[i]);
			first = r < 0 && r != -EEXIST && !first ? r : first;
		}
	}
	for (size_t i = 0; i < ours.n; i++) {
		if (!has(places, n, &ours.v[i])) {
			r = change(fd, RTM_DELNEIGH, &ours.v[i]);
			first = r < 0 && r != -ENOENT && !first ? r : first;
		}
	}
	return first;
}

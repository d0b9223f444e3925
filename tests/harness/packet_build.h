/* SPDX-License-Identifier: Apache-2.0 */
/* Packets for tests of the packet plane: built from a tuple, read back, and
 * every checksum in them verified. */
#ifndef WEIR_TESTS_PACKET_BUILD_H
#define WEIR_TESTS_PACKET_BUILD_H

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "addr.h"

struct frame {
	uint8_t p[2048];
	uint32_t n;
};

/* What a frame is to contain, and what was found in one. */
struct spec {
	struct weir_tuple t;
	uint8_t proto;
	uint8_t tcp_flags;
	uint8_t ttl;
	bool has_options; /* IPv4 options, IPv6 hop-by-hop and destination */
	bool no_sum;      /* UDP without checksum */
	uint16_t frag;    /* flags and offset as in IPv4, host order; 0: none */
	uint32_t frag_id;
	uint32_t seq;
	uint32_t ack;
	uint32_t payload;  /* bytes of it */
	bool is_sum_right; /* read only: all checksums hold */
};

static inline struct weir_tuple tuple(const char *from, const char *to)
{
	struct weir_tuple t = {};

	weir_addr_parse(weir_str_of(from), &t.saddr, &t.sport_be);
	weir_addr_parse(weir_str_of(to), &t.daddr, &t.dport_be);
	return t;
}

static inline const char *tuple_text(const struct weir_tuple *t)
{
	static char text[2 * WEIR_ADDR_TEXT_MAX + 4];
	char a[WEIR_ADDR_TEXT_MAX], b[WEIR_ADDR_TEXT_MAX];

	snprintf(text, sizeof(text), "%s > %s",
		 weir_addr_format(&t->saddr, t->sport_be, a),
		 weir_addr_format(&t->daddr, t->dport_be, b));
	return text;
}

static inline uint32_t sum_add(uint32_t sum, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++) {
		sum += (uint32_t)b[i] << (i & 1 ? 0 : 8);
		sum = (sum & 0xFFFF) + (sum >> 16);
	}
	return sum;
}

/* Over the pseudo header and the n bytes at l4. */
static inline uint16_t l4_sum(const struct weir_tuple *t, uint8_t proto,
			      const void *l4, size_t n)
{
	bool is_v4 = weir_ip_is_v4(&t->saddr);
	size_t skip = is_v4 ? 12 : 0;
	uint8_t tail[4] = {0, proto, (uint8_t)(n >> 8), (uint8_t)n};
	uint32_t sum = 0;

	sum = sum_add(sum, (const char *)&t->saddr + skip, 16 - skip);
	sum = sum_add(sum, (const char *)&t->daddr + skip, 16 - skip);
	sum = sum_add(sum, tail, 4);
	return (uint16_t)sum_add(sum, l4, n);
}

static inline void put(struct frame *f, const void *p, size_t n)
{
	memcpy(f->p + f->n, p, n);
	f->n += (uint32_t)n;
}

static inline void put_l4(struct frame *f, const struct spec *s)
{
	uint32_t at = f->n;
	uint16_t sum;

	if (s->frag & 0x1FFF) {
		/* Not the first fragment: bytes from the middle. */
	} else if (s->proto == IPPROTO_TCP) {
		struct tcphdr h = {.source = s->t.sport_be,
				   .dest = s->t.dport_be,
				   .seq = htonl(s->seq),
				   .ack_seq = htonl(s->ack),
				   .doff = 8,
				   .window = htons(1000)};
		/* Options as on a SYN of Linux. */
		static const uint8_t options[12] = {2, 4, 5, 180, 4, 2,
						    1, 3, 3, 7,   1, 1};

		((uint8_t *)&h)[13] = s->tcp_flags;
		put(f, &h, sizeof(h));
		put(f, options, sizeof(options));
	} else {
		struct udphdr h = {.source = s->t.sport_be,
				   .dest = s->t.dport_be,
				   .len = htons((uint16_t)(8 + s->payload))};

		put(f, &h, sizeof(h));
	}
	for (uint32_t i = 0; i < s->payload; i++) {
		f->p[f->n++] = (uint8_t)('a' + i % 26);
	}
	if (s->frag & 0x1FFF) {
		return;
	}
	sum = htons((uint16_t)~l4_sum(&s->t, s->proto, f->p + at, f->n - at));
	if (s->proto == IPPROTO_TCP) {
		memcpy(f->p + at + 16, &sum, 2);
	} else if (!s->no_sum) {
		memcpy(f->p + at + 6, &sum, 2);
	}
}

static inline void put_ip4(struct frame *f, const struct spec *s,
			   const void *body, size_t n)
{
	static const uint8_t options[4] = {1, 1, 1, 0};
	uint32_t hlen = s->has_options ? 24 : 20;
	struct iphdr h = {.version = 4,
			  .ihl = hlen / 4,
			  .tot_len = htons((uint16_t)(hlen + n)),
			  .id = htons((uint16_t)s->frag_id),
			  .frag_off = htons(s->frag),
			  .ttl = s->ttl ? s->ttl : 64,
			  .protocol = s->proto,
			  .saddr = s->t.saddr.a[3],
			  .daddr = s->t.daddr.a[3]};
	uint32_t at = f->n;
	uint16_t sum;

	put(f, &h, sizeof(h));
	if (s->has_options) {
		put(f, options, 4);
	}
	sum = htons((uint16_t)~sum_add(0, f->p + at, hlen));
	memcpy(f->p + at + 10, &sum, 2);
	put(f, body, n);
}

static inline void put_ip6(struct frame *f, const struct spec *s,
			   const void *body, size_t n)
{
	uint8_t ext[24] = {}; /* hop-by-hop, destination, fragment */
	size_t m = 0;
	struct ip6_hdr h = {};

	h.ip6_vfc = 0x60;
	h.ip6_nxt = s->proto;
	h.ip6_hlim = s->ttl ? s->ttl : 64;
	memcpy(&h.ip6_src, &s->t.saddr, 16);
	memcpy(&h.ip6_dst, &s->t.daddr, 16);
	if (s->has_options) {
		static const uint8_t pad[6] = {1, 4}; /* PadN */

		h.ip6_nxt = IPPROTO_HOPOPTS;
		ext[0] = IPPROTO_DSTOPTS;
		memcpy(ext + 2, pad, 6);
		ext[8] = s->frag ? IPPROTO_FRAGMENT : s->proto;
		memcpy(ext + 10, pad, 6);
		m = 16;
	}
	if (s->frag) {
		uint16_t off = htons((uint16_t)((s->frag & 0x1FFF) << 3 |
						(s->frag & IP_MF ? 1 : 0)));
		uint32_t id = htonl(s->frag_id);

		if (!m) {
			h.ip6_nxt = IPPROTO_FRAGMENT;
		}
		ext[m] = s->proto;
		memcpy(ext + m + 2, &off, 2);
		memcpy(ext + m + 4, &id, 4);
		m += 8;
	}
	h.ip6_plen = htons((uint16_t)(m + n));
	put(f, &h, sizeof(h));
	put(f, ext, m);
	put(f, body, n);
}

static inline void put_ip(struct frame *f, const struct spec *s,
			  const void *body, size_t n)
{
	if (weir_ip_is_v4(&s->t.saddr)) {
		put_ip4(f, s, body, n);
	} else {
		put_ip6(f, s, body, n);
	}
}

static inline void put_eth(struct frame *f, bool is_v4)
{
	static const uint8_t macs[12] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2};
	uint16_t type = htons(is_v4 ? ETH_P_IP : ETH_P_IPV6);

	f->n = 0;
	put(f, macs, 12);
	put(f, &type, 2);
}

/* A TCP or UDP packet. */
static inline void build(struct frame *f, const struct spec *s)
{
	static struct frame l4;

	l4.n = 0;
	put_l4(&l4, s);
	put_eth(f, weir_ip_is_v4(&s->t.saddr));
	put_ip(f, s, l4.p, l4.n);
}

/* An ICMP error from outer.saddr to outer.daddr about a packet of inner. */
static inline void build_error(struct frame *f, const struct weir_tuple *outer,
			       uint8_t type, const struct spec *inner)
{
	bool is_v4 = weir_ip_is_v4(&outer->saddr);
	struct spec s = {.t = *outer,
			 .proto = is_v4 ? IPPROTO_ICMP : IPPROTO_ICMPV6};
	static struct frame l4, body;
	uint16_t sum;

	l4.n = body.n = 0;
	put_l4(&l4, inner);
	put(&body, (uint8_t[8]){type}, 8);
	put_ip(&body, inner, l4.p, l4.n);
	sum = is_v4 ? (uint16_t)sum_add(0, body.p, body.n)
		    : l4_sum(outer, s.proto, body.p, body.n);
	sum = htons((uint16_t)~sum);
	memcpy(body.p + 2, &sum, 2);
	put_eth(f, is_v4);
	put_ip(f, &s, body.p, body.n);
}

/* Reads an IP header at *at, which moves behind it and its extensions. */
static inline void read_ip(const uint8_t *p, uint32_t *at, struct spec *s)
{
	const uint8_t *h = p + *at;

	if (h[0] >> 4 == 4) {
		uint32_t hlen = (h[0] & 15u) * 4;
		uint16_t frag;

		s->t.saddr.a[2] = s->t.daddr.a[2] = htonl(0xFFFF);
		memcpy(&s->t.saddr.a[3], h + 12, 4);
		memcpy(&s->t.daddr.a[3], h + 16, 4);
		memcpy(&frag, h + 6, 2);
		s->frag = ntohs(frag);
		s->proto = h[9];
		s->ttl = h[8];
		s->is_sum_right = sum_add(0, h, hlen) == 0xFFFF;
		*at += hlen;
		return;
	}
	memcpy(&s->t.saddr, h + 8, 16);
	memcpy(&s->t.daddr, h + 24, 16);
	s->proto = h[6];
	s->ttl = h[7];
	s->is_sum_right = true;
	*at += 40;
	while (s->proto == IPPROTO_HOPOPTS || s->proto == IPPROTO_DSTOPTS ||
	       s->proto == IPPROTO_FRAGMENT) {
		if (s->proto == IPPROTO_FRAGMENT) {
			s->frag = (uint16_t)((p[*at + 2] << 8 | p[*at + 3]) >>
					     3);
			s->frag |= p[*at + 3] & 1 ? IP_MF : 0;
		}
		s->proto = p[*at];
		*at += 8;
	}
}

/* What is in a frame; with an ICMP error, *inner is what it is about (may be
 * NULL). */
static inline void read_frame(const struct frame *f, struct spec *s,
			      struct spec *inner)
{
	uint32_t at = 14, l4;
	bool is_v6;

	memset(s, 0, sizeof(*s));
	read_ip(f->p, &at, s);
	l4 = at;
	is_v6 = !weir_ip_is_v4(&s->t.saddr);
	if (s->proto == IPPROTO_ICMP || s->proto == IPPROTO_ICMPV6) {
		uint16_t sum =
			is_v6 ? l4_sum(&s->t, s->proto, f->p + l4, f->n - l4)
			      : (uint16_t)sum_add(0, f->p + l4, f->n - l4);

		s->is_sum_right = s->is_sum_right && sum == 0xFFFF;
		if (inner) {
			memset(inner, 0, sizeof(*inner));
			at += 8;
			read_ip(f->p, &at, inner);
			memcpy(&inner->t.sport_be, f->p + at, 4);
		}
		return;
	}
	if (s->frag & 0x1FFF) {
		return;
	}
	memcpy(&s->t.sport_be, f->p + l4, 4);
	if (s->proto == IPPROTO_TCP) {
		uint32_t v;

		memcpy(&v, f->p + l4 + 4, 4);
		s->seq = ntohl(v);
		memcpy(&v, f->p + l4 + 8, 4);
		s->ack = ntohl(v);
		s->tcp_flags = f->p[l4 + 13];
	} else if (f->p[l4 + 6] == 0 && f->p[l4 + 7] == 0) {
		s->no_sum = true;
		return;
	}
	/* The sum of a first fragment covers what is not here. */
	if (!s->frag) {
		s->is_sum_right = s->is_sum_right &&
				  l4_sum(&s->t, s->proto, f->p + l4,
					 f->n - l4) == 0xFFFF;
	}
}

#endif

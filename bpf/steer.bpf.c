// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * sk_lookup: new connections to an address that weir holds on this node, or to
 * the proxy prefix, go to the proxy's listener of their family, whatever their
 * port.  Runs once per connection, and per datagram for unconnected receivers;
 * datagrams are not steered, and none reaches a socket by the prefix.  Kernel
 * floor 5.15.
 */
#include "core.h"

/*
 * Prefix addresses mean something only on this node.  Where they come from an
 * interface, the packet plane must be there: it wrote them, and drops those
 * that arrived with the packet.  Kernels without ingress_ifindex (before 5.17)
 * have the packet plane alone.
 */
static __always_inline bool is_guarded(struct bpf_sk_lookup *ctx)
{
	__u32 ifindex;

	if (!weir_conf.loopback) {
		return true;
	}
	ifindex = ctx->ingress_ifindex;
	return ifindex == weir_conf.loopback || ifindex == 0 ||
	       bpf_map_lookup_elem(&weir_if, &ifindex);
}

SEC("sk_lookup")
int weir_steer(struct bpf_sk_lookup *ctx)
{
	struct weir_fe_key key = {};
	struct bpf_sock *sk;
	struct weir_fe *fe;
	bool is_prefix;
	__u32 slot;
	int r;

	if (ctx->family == AF_INET) {
		__u32 ip4 = ctx->local_ip4;

		/* Or clang loads both families through one pointer into ctx,
		 * which the verifier refuses. */
		barrier_var(ip4);
		weir_ip_set4(&key.addr, ip4);
		slot = WEIR_SOCK_TCP4;
	} else {
		key.addr.a[0] = ctx->local_ip6[0];
		key.addr.a[1] = ctx->local_ip6[1];
		key.addr.a[2] = ctx->local_ip6[2];
		key.addr.a[3] = ctx->local_ip6[3];
		slot = WEIR_SOCK_TCP6;
	}
	is_prefix = weir_in_prefix(&key.addr);
	if (is_prefix && !is_guarded(ctx)) {
		weir_count_event(WEIR_COUNT_PACKET_PREFIX_DROP);
		return SK_DROP;
	}
	if (ctx->protocol != IPPROTO_TCP) {
		/* The stack says that its port is unreachable. */
		return is_prefix ? SK_DROP : SK_PASS;
	}
	if (!is_prefix) {
		key.port_be = bpf_htons(ctx->local_port);
		key.proto = IPPROTO_TCP;
		fe = weir_fe_find(&key);
		if (!fe || !(fe->flags & WEIR_FE_STEER)) {
			return SK_PASS;
		}
	}
	sk = bpf_map_lookup_elem(&weir_sock, &slot);
	if (!sk) {
		weir_count_event(WEIR_COUNT_STEER_NO_SOCKET);
		/* In the prefix nobody else may answer: a wildcard listener of
		 * the host would. */
		return is_prefix ? SK_DROP : SK_PASS;
	}
	/* -EEXIST: a program before this one chose; it keeps its choice. */
	r = bpf_sk_assign(ctx, sk, 0);
	bpf_sk_release(sk);
	if (!r) {
		weir_count_event(WEIR_COUNT_STEER_PROXY);
	}
	return SK_PASS;
}

char _license[] SEC("license") = "Dual BSD/GPL";

// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * sockops: what became of the TCP connections that the connect plane placed.
 * Called three times in the life of such a connection and never per packet;
 * for all others only where the kernel calls sockops unasked, and then returns
 * after one failed storage lookup.  Kernel floor 5.15.
 */
#include "core.h"

static __always_inline struct weir_sk *placed(struct bpf_sock_ops *ops)
{
	struct bpf_sock *sk = ops->sk;
	struct weir_sk *st;

	if (!sk) {
		return NULL;
	}
	st = weir_conn_find(bpf_get_socket_cookie(ops), sk);
	return st && (st->state & WEIR_SK_PICKED) ? st : NULL;
}

static __always_inline void on_failed(struct weir_sk *st)
{
	struct weir_refstat *ref = weir_refstat_of(st->stat);
	struct weir_epstat *ep = weir_epstat_of(st->ep_id);

	if (ref) {
		__sync_fetch_and_add(&ref->failed, 1);
	}
	if (ep) {
		__sync_fetch_and_add(&ep->failed, 1);
	}
}

static __always_inline void on_closed(struct bpf_sock_ops *ops,
				      struct weir_sk *st)
{
	struct weir_epstat *ep = weir_epstat_of(st->ep_id);

	weir_count_closed(st->stat, st->ep_id);
	if (!ep) {
		return;
	}
	__sync_fetch_and_add(&ep->tx_bytes, ops->bytes_acked);
	__sync_fetch_and_add(&ep->rx_bytes, ops->bytes_received);
	if (ops->srtt_us) {
		/* The kernel keeps eight times the smoothed RTT. */
		__sync_fetch_and_add(&ep->rtt_us_sum, ops->srtt_us >> 3);
		__sync_fetch_and_add(&ep->rtt_count, 1);
	}
}

SEC("sockops")
int weir_account(struct bpf_sock_ops *ops)
{
	struct weir_sk *st;

	switch (ops->op) {
	case BPF_SOCK_OPS_TCP_CONNECT_CB:
		st = placed(ops);
		if (st && st->stat | st->ep_id) {
			st->state |= WEIR_SK_WATCHED;
			bpf_sock_ops_cb_flags_set(
				ops, ops->bpf_sock_ops_cb_flags |
					     BPF_SOCK_OPS_STATE_CB_FLAG);
		}
		break;
	case BPF_SOCK_OPS_ACTIVE_ESTABLISHED_CB:
		if (!(ops->bpf_sock_ops_cb_flags &
		      BPF_SOCK_OPS_STATE_CB_FLAG)) {
			break;
		}
		st = placed(ops);
		if (st && !(st->state & WEIR_SK_OPENED)) {
			st->state |= WEIR_SK_OPENED;
			weir_count_opened(st->stat, st->ep_id);
		}
		break;
	case BPF_SOCK_OPS_STATE_CB:
		if (ops->args[1] != BPF_TCP_CLOSE) {
			break;
		}
		st = placed(ops);
		if (!st) {
			break;
		}
		if (st->state & WEIR_SK_OPENED) {
			on_closed(ops, st);
		} else {
			on_failed(st);
		}
		/* A later connect() of the same socket starts afresh. */
		st->state &= ~(WEIR_SK_OPENED | WEIR_SK_PICKED |
			       WEIR_SK_WATCHED);
		weir_conn_forget(bpf_get_socket_cookie(ops));
		break;
	default:
		break;
	}
	return 1;
}

char _license[] SEC("license") = "Dual BSD/GPL";

/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's end of the channel to the proxy: plans out, answers in. */
#ifndef WEIR_DAEMON_PROXY_LINK_H
#define WEIR_DAEMON_PROXY_LINK_H

#include "datagram.h"
#include "loop.h"
#include "options.h"
#include "sealed.h"

struct weir_proxy_link {
	struct weir_loop *loop;
	struct weir_io io; /* fd -1: no proxy */
	struct weir_ip prefix4;
	struct weir_ip prefix6;
	/* error: 0, or the -errno with which it refused the generation. */
	void (*on_answer)(void *arg, uint64_t generation, int error);
	void *arg;
};

void weir_proxy_link_init(struct weir_proxy_link *link, struct weir_loop *loop,
			  const struct weir_options *options,
			  void (*on_answer)(void *arg, uint64_t generation,
					    int error),
			  void *arg);
void weir_proxy_link_fini(struct weir_proxy_link *link);
/* From now on the proxy at the other end of fd, which is taken. */
int weir_proxy_link_use(struct weir_proxy_link *link, int fd);
/* 0, -ENOTCONN without a proxy, or -errno: the proxy hangs or is gone. */
int weir_proxy_link_send(struct weir_proxy_link *link,
			 const struct weir_sealed *blocks,
			 const struct weir_datagram *udp);

static inline bool weir_proxy_link_is_up(const struct weir_proxy_link *link)
{
	return link->io.fd >= 0;
}

#endif

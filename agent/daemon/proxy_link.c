// SPDX-License-Identifier: Apache-2.0
#include "proxy_link.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "fdutil.h"
#include "ipc.h"

static void drop(struct weir_proxy_link *link)
{
	if (link->io.fd >= 0) {
		weir_loop_del(link->loop, &link->io);
		weir_close(&link->io.fd);
	}
}

/* The proxy is not trusted: a message that is not understood is ignored. */
static void on_readable(struct weir_io *io, uint32_t events)
{
	struct weir_proxy_link *link = io->arg;
	struct weir_ipc m;
	ssize_t n;

	(void)events;
	while ((n = recv(io->fd, &m, sizeof(m), MSG_DONTWAIT)) > 0) {
		if (n != sizeof(m)) {
			continue;
		}
		if (m.type == WEIR_IPC_ACK) {
			link->on_answer(link->arg, m.generation, 0);
		} else if (m.type == WEIR_IPC_NAK) {
			link->on_answer(link->arg, m.generation,
					m.error > 0 ? -m.error : -EPROTO);
		}
		if (io->fd < 0) {
			return;
		}
	}
	if (n == 0 || (errno != EAGAIN && errno != EINTR)) {
		drop(link); /* the parent starts another and says so */
	}
}

void weir_proxy_link_init(struct weir_proxy_link *link, struct weir_loop *loop,
			  const struct weir_options *options,
			  void (*on_answer)(void *arg, uint64_t generation,
					    int error),
			  void *arg)
{
	*link = (struct weir_proxy_link){.loop = loop,
					 .prefix4 = options->kernel.prefix4,
					 .prefix6 = options->kernel.prefix6,
					 .on_answer = on_answer,
					 .arg = arg};
	link->io = (struct weir_io){.fd = -1, .fn = on_readable, .arg = link};
}

void weir_proxy_link_fini(struct weir_proxy_link *link)
{
	drop(link);
}

int weir_proxy_link_use(struct weir_proxy_link *link, int fd)
{
	drop(link);
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0) {
		int r = -errno;

		weir_close(&fd);
		return r;
	}
	link->io.fd = fd;
	return weir_loop_add(link->loop, &link->io, EPOLLIN);
}

static bool is_offered(const struct weir_datagram_socket *s)
{
	return s->fd >= 0 && s->rests_until_ms == 0;
}

/* Fills m and fds with up to WEIR_IPC_UDP_MAX open sockets from *pos on. */
static size_t add_udp(struct weir_ipc *m, int *fds,
		      const struct weir_datagram *udp, size_t *pos)
{
	m->n_udp = 0;
	for (; *pos < udp->n && m->n_udp < WEIR_IPC_UDP_MAX; ++*pos) {
		const struct weir_datagram_socket *s = &udp->v[*pos];

		if (is_offered(s)) {
			m->udp[m->n_udp] = (struct weir_ipc_udp){
				.addr = s->addr, .port_be = s->port_be};
			fds[m->n_udp++] = s->fd;
		}
	}
	return m->n_udp;
}

int weir_proxy_link_send(struct weir_proxy_link *link,
			 const struct weir_sealed *blocks,
			 const struct weir_datagram *udp)
{
	struct weir_ipc m = {.type = WEIR_IPC_PLAN,
			     .generation = blocks->generation,
			     .prefix4 = link->prefix4,
			     .prefix6 = link->prefix6};
	int fds[WEIR_IPC_BLOCKS + WEIR_IPC_UDP_MAX] = {
		blocks->rules_fd, blocks->eps_fd, blocks->secrets_fd};
	size_t sent = 0;
	size_t pos = 0;
	int r;

	if (link->io.fd < 0) {
		return -ENOTCONN;
	}
	for (size_t i = 0; i < udp->n; i++) {
		m.n_udp_total += is_offered(&udp->v[i]);
	}
	do {
		size_t n = add_udp(&m, fds + WEIR_IPC_BLOCKS, udp, &pos);

		r = weir_send_fds(link->io.fd, &m, sizeof(m), fds,
				  WEIR_IPC_BLOCKS + n);
		sent += n;
	} while (r == 0 && sent < m.n_udp_total);
	return r;
}

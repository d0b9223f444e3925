/* SPDX-License-Identifier: Apache-2.0 */
/* Two ends of a TCP connection on loopback. */
#ifndef WEIR_UNIT_TCP_PAIR_H
#define WEIR_UNIT_TCP_PAIR_H

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "tap.h"

/* The accepted end does not block; its peer does.  rcvbuf: of the peer, bytes;
 * 0: as it is. */
static inline void tcp_pair(int rcvbuf, int *ret_fd, int *ret_peer)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*ret_peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (rcvbuf) {
		(void)setsockopt(*ret_peer, SOL_SOCKET, SO_RCVBUF, &rcvbuf,
				 sizeof(rcvbuf));
	}
	must(bind(listener, (struct sockaddr *)&a, n) == 0 &&
		     listen(listener, 1) == 0 &&
		     getsockname(listener, (struct sockaddr *)&a, &n) == 0 &&
		     connect(*ret_peer, (struct sockaddr *)&a, n) == 0,
	     "%s", strerror(errno));
	*ret_fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	must(*ret_fd >= 0, "%s", strerror(errno));
	weir_close(&listener);
}

#endif

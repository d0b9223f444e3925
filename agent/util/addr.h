/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses in the form of the ABI: 16 bytes, IPv4 as v4-mapped. */
#ifndef WEIR_UTIL_ADDR_H
#define WEIR_UTIL_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>

#include "str.h"
#include "weir_abi.h"

#define WEIR_ADDR_TEXT_MAX 64 /* "[addr]:port" with its NUL */

static inline bool weir_ip_is_v4(const struct weir_ip *ip)
{
	return ip->a[0] == 0 && ip->a[1] == 0 && ip->a[2] == htonl(0xFFFF);
}

static inline bool weir_ip_eq(const struct weir_ip *a, const struct weir_ip *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

/* "10.0.0.1" or "fd00::1"; no port, no zone, no brackets.  -EINVAL. */
int weir_ip_parse(struct weir_str text, struct weir_ip *ret_ip);
/* "10.0.0.1:80" or "[fd00::1]:80"; port in network order. */
int weir_addr_parse(struct weir_str text, struct weir_ip *ret_ip,
		    __be16 *ret_port_be);
/* NUL-terminated; returns out. */
const char *weir_ip_format(const struct weir_ip *ip,
			   char out[static WEIR_ADDR_TEXT_MAX]);
const char *weir_addr_format(const struct weir_ip *ip, __be16 port_be,
			     char out[static WEIR_ADDR_TEXT_MAX]);
/* v4-mapped becomes AF_INET.  Returns the length. */
socklen_t weir_addr_to_sockaddr(const struct weir_ip *ip, __be16 port_be,
				struct sockaddr_storage *ret_sa);
/* -EAFNOSUPPORT unless AF_INET or AF_INET6. */
int weir_addr_from_sockaddr(const struct sockaddr_storage *sa,
			    struct weir_ip *ret_ip, __be16 *ret_port_be);

#endif

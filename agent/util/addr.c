/* SPDX-License-Identifier: Apache-2.0 */
#include "addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>

int weir_ip_parse(struct weir_str text, struct weir_ip *ret_ip)
{
	char z[INET6_ADDRSTRLEN];
	struct in_addr v4;
	struct in6_addr v6;

	if (text.n == 0 || text.n >= sizeof(z)) {
		return -EINVAL;
	}
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	if (inet_pton(AF_INET, z, &v4) == 1) {
		*ret_ip = (struct weir_ip){{0, 0, htonl(0xFFFF), v4.s_addr}};
		return 0;
	}
	if (inet_pton(AF_INET6, z, &v6) == 1) {
		memcpy(ret_ip, &v6, sizeof(*ret_ip));
		return 0;
	}
	return -EINVAL;
}

int weir_addr_parse(struct weir_str text, struct weir_ip *ret_ip,
		    __be16 *ret_port_be)
{
	struct weir_str host = text;
	struct weir_ip ip;
	uint64_t port;
	size_t colon;

	for (colon = text.n; colon > 0 && text.p[colon - 1] != ':'; colon--) {
	}
	if (colon == 0 ||
	    weir_str_parse_u64(weir_str_skip(text, colon), 65535, &port) < 0) {
		return -EINVAL;
	}
	host.n = colon - 1;
	if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']') {
		host = (struct weir_str){host.p + 1, host.n - 2};
	} else if (weir_str_find(host, ':') >= 0) {
		return -EINVAL; /* IPv6 wants brackets beside a port */
	}
	if (weir_ip_parse(host, &ip) < 0) {
		return -EINVAL;
	}
	*ret_ip = ip;
	*ret_port_be = htons((uint16_t)port);
	return 0;
}

/* Decimal; returns behind it. */
static char *put_u16(char *p, uint16_t v)
{
	char digits[5];
	size_t n = 0;

	do {
		digits[n++] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	while (n) {
		*p++ = digits[--n];
	}
	return p;
}

/* Once or more for each request of the proxy: inet_ntop and snprintf would be
 * some per cent of its time.  Returns the NUL. */
static char *put_v4(char *p, const struct weir_ip *ip)
{
	const uint8_t *bytes = (const uint8_t *)&ip->a[3];

	for (int i = 0; i < 4; i++) {
		p = put_u16(p, bytes[i]);
		*p++ = i < 3 ? '.' : '\0';
	}
	return p - 1;
}

const char *weir_ip_format(const struct weir_ip *ip,
			   char out[static WEIR_ADDR_TEXT_MAX])
{
	if (weir_ip_is_v4(ip)) {
		put_v4(out, ip);
	} else {
		inet_ntop(AF_INET6, ip, out, WEIR_ADDR_TEXT_MAX);
	}
	return out;
}

const char *weir_addr_format(const struct weir_ip *ip, __be16 port_be,
			     char out[static WEIR_ADDR_TEXT_MAX])
{
	char host[WEIR_ADDR_TEXT_MAX];

	if (weir_ip_is_v4(ip)) {
		char *p = put_v4(out, ip);

		*p = ':';
		*put_u16(p + 1, ntohs(port_be)) = '\0';
		return out;
	}
	weir_ip_format(ip, host);
	snprintf(out, WEIR_ADDR_TEXT_MAX, "[%.45s]:%u", host, ntohs(port_be));
	return out;
}

socklen_t weir_addr_to_sockaddr(const struct weir_ip *ip, __be16 port_be,
				struct sockaddr_storage *ret_sa)
{
	memset(ret_sa, 0, sizeof(*ret_sa));
	if (weir_ip_is_v4(ip)) {
		struct sockaddr_in v4 = {.sin_family = AF_INET,
					 .sin_port = port_be,
					 .sin_addr.s_addr = ip->a[3]};

		memcpy(ret_sa, &v4, sizeof(v4));
		return sizeof(v4);
	}
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
				  .sin6_port = port_be};

	memcpy(&v6.sin6_addr, ip, sizeof(*ip));
	memcpy(ret_sa, &v6, sizeof(v6));
	return sizeof(v6);
}

int weir_addr_from_sockaddr(const struct sockaddr_storage *sa,
			    struct weir_ip *ret_ip, __be16 *ret_port_be)
{
	if (sa->ss_family == AF_INET) {
		struct sockaddr_in v4;

		memcpy(&v4, sa, sizeof(v4));
		*ret_ip = (struct weir_ip){
			{0, 0, htonl(0xFFFF), v4.sin_addr.s_addr}};
		*ret_port_be = v4.sin_port;
		return 0;
	}
	if (sa->ss_family == AF_INET6) {
		struct sockaddr_in6 v6;

		memcpy(&v6, sa, sizeof(v6));
		memcpy(ret_ip, &v6.sin6_addr, sizeof(*ret_ip));
		*ret_port_be = v6.sin6_port;
		return 0;
	}
	return -EAFNOSUPPORT;
}

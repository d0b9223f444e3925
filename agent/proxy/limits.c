/* SPDX-License-Identifier: Apache-2.0 */
/* The defaults; README.md, "Limits", says what each one protects. */
#include "proxy.h"

void weir_proxy_limits_default(struct weir_proxy_limits *limits)
{
	*limits = (struct weir_proxy_limits){
		.max_connections = 8192,
		.max_client_connections = 4096,
		.max_body_mib = 0,
		.max_head_bytes = 16384,
		.max_headers = 100,
		.max_target_bytes = 8192,
		.buffer_bytes = 32768,
		.head_timeout_ms = 10000,
		.body_timeout_ms = 60000,
		.idle_timeout_ms = 75000,
		.connect_timeout_ms = 3000,
		.stall_timeout_ms = 300000,
		.tunnel_idle_ms = 3600000,
		.pool_idle_ms = 30000,
		.pool_idle_max = 1024,
		.drain_ms = 10000,
		.max_held = 4096,
		.hold_lag_ms = 2000,
		/* Serving: revision-timeout-seconds */
		.hold_timeout_ms = 300000,
		.h2_streams = 128,
		.h2_window_bytes = 65536,
		.h2_resets = 500,
		.h2_controls = 1000,
		.h2_continuations = 8,
		.udp_idle_ms = 30000,
		.udp_max = 8192,
		.max_buffer_mib = 256,
	};
}

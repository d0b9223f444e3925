/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the API server is and who we are: a kubeconfig file, or what a pod is
 * given.  Credentials stay in memory and appear in no message.  Files that are
 * rotated (token, certificates, CA) are read again by weir_kube_config_refresh.
 */
#ifndef WEIR_KUBE_CONFIG_H
#define WEIR_KUBE_CONFIG_H

#include "buf.h"
#include "str.h"

#define WEIR_KUBE_ERROR_MAX 256
#define WEIR_KUBE_SERVICE_ACCOUNT                                              \
	"/var/run/secrets/kubernetes.io/serviceaccount"

/* Something that is given as data or as a file; a file is read again when it
 * was replaced. */
struct weir_kube_secret {
	char *path; /* NULL: data only */
	struct weir_buf data;
	int64_t seen_ns; /* modification time of what was read */
	uint64_t seen_inode;
};

struct weir_kube_config {
	char *server;      /* "https://10.0.0.1:6443", no trailing slash */
	char *server_name; /* tls-server-name; NULL: the one of server */
	char *ns;          /* default namespace; "default" */
	struct weir_kube_secret ca;
	struct weir_kube_secret certificate; /* PEM, of the client */
	struct weir_kube_secret key;
	struct weir_kube_secret token;
	bool is_insecure; /* insecure-skip-tls-verify */
	uint64_t epoch;   /* changes when any of the four changed */
};

/* kubeconfig at path; context NULL: its current-context.  Relative files in it
 * are relative to its directory.  -errno with a message for the operator:
 * -EINVAL it is not usable (an exec plugin, no such context ...). */
int weir_kube_config_load(const char *path, const char *context,
			  struct weir_kube_config **ret_config,
			  char error[static WEIR_KUBE_ERROR_MAX]);
/* KUBERNETES_SERVICE_HOST and _PORT, and token, ca.crt and namespace in dir
 * (NULL: WEIR_KUBE_SERVICE_ACCOUNT).  -ENOENT: this is no pod. */
int weir_kube_config_in_cluster(const char *dir,
				struct weir_kube_config **ret_config,
				char error[static WEIR_KUBE_ERROR_MAX]);
/* Reads again what was replaced.  1: something changed; 0; -errno of the first
 * that could not be read (it keeps what it had). */
int weir_kube_config_refresh(struct weir_kube_config *config);
void weir_kube_config_free(struct weir_kube_config **config);

#endif

/* SPDX-License-Identifier: GPL-2.0-or-later */

#ifndef COUNTERSIGN_PLUGIN_H_
#define COUNTERSIGN_PLUGIN_H_

#include <plugins/plugin.h>

/* The constructor, which charon calls when it loads the plugin. */
plugin_t *countersign_plugin_create(void);

#endif

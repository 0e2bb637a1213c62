// SPDX-License-Identifier: Apache-2.0
//
// The state of the device as JSON.

#include <stdio.h>

#include "../driver/area.h"
#include "../driver/context.h"
#include "../driver/events.h"
#include "../driver/image.h"
#include "control.h"

static void print_context(FILE* out, struct context* context) {
  static const char* const states[] = {"opened", "started", "closed"};
  fprintf(out,
          "{\"processElement\":%d,\"master\":%s,\"status\":\"%s\",\"descriptors\":%u,"
          "\"mappings\":%u,\"interrupts\":%d,\"pending\":%s,\"wed\":\"0x%llx\"}",
          context->pe, context->master ? "true" : "false", states[context->status],
          context->descriptors, context->mappings, context->irq_count,
          event_pending(context) ? "true" : "false", (unsigned long long)context->wed);
}

static void print_afu(FILE* out, struct afu* afu) {
  fprintf(out, "{\"name\":\"afu%d.0\",\"mode\":%d,\"contexts\":[", afu->card->number, afu->mode);
  bool first = true;
  for (int pe = 0; pe < 512; pe++) {
    if (!afu->contexts[pe]) continue;
    if (!first) fputc(',', out);
    first = false;
    print_context(out, afu->contexts[pe]);
  }
  fputs("]}", out);
}

char* control_status(void) {
  char* text = NULL;
  size_t size = 0;
  FILE* out = open_memstream(&text, &size);
  if (!out) return NULL;
  device_lock();
  device_tick();
  fprintf(out, "{\"flavor\":\"%s\",\"cards\":[", options.guest ? "guest" : "native");
  int open = 0;
  for (int number = 0; number < CARDS; number++) {
    struct card* card = &cards[number];
    open += card->afu->open_contexts;
    fprintf(out, "%s{\"name\":\"card%d\",\"present\":%s,\"linkUp\":%s,\"attached\":%d,\"afu\":",
            number ? "," : "", number, card->present ? "true" : "false",
            card->link_up ? "true" : "false", card->contexts);
    print_afu(out, card->afu);
    fputs("}", out);
  }
  fprintf(out,
          "],\"openContexts\":%d,\"mappings\":%u,\"foreignSigbus\":%u,\"truncations\":%llu,"
          "\"lastAnonymous\":%d,\"imageResets\":%llu,",
          open, area_count(), foreign_sigbus_count(), (unsigned long long)area_truncations(),
          last_anonymous_context(), (unsigned long long)image_resets());
  fprintf(out,
          "\"counters\":{\"opens\":%llu,\"attaches\":%llu,\"detaches\":%llu,\"elements\":%llu,"
          "\"interrupts\":%llu,\"faults\":%llu,\"errors\":%llu,\"droppedErrors\":%llu,"
          "\"sliceErrors\":%llu}}\n",
          (unsigned long long)counters.opens, (unsigned long long)counters.attaches,
          (unsigned long long)counters.detaches, (unsigned long long)counters.elements,
          (unsigned long long)counters.interrupts, (unsigned long long)counters.faults,
          (unsigned long long)counters.errors, (unsigned long long)counters.dropped_errors,
          (unsigned long long)counters.slice_errors);
  device_unlock();
  fclose(out);
  return text;
}

// SPDX-License-Identifier: Apache-2.0
#include <node_api.h>

#include "afu_file.h"
#include "arguments.h"
#include "attachments.h"
#include "attribute.h"
#include "barrier.h"
#include "card_file.h"
#include "device_file.h"
#include "environment.h"
#include "flash_file.h"
#include "memory.h"
#include "ofd_lock.h"
#include "pages.h"
#include "problem_state.h"

namespace cxl {
namespace {

// allocate(size, alignment, hugePages, numaNode); hugePages as in pages.h.
napi_value Allocate(napi_env env, napi_callback_info info) {
  Arguments<4> arguments(env, info);
  int64_t size;
  int64_t alignment;
  uint32_t huge;
  int32_t numa_node;
  if (!arguments.Int64(0, &size) || !arguments.Int64(1, &alignment) ||
      !arguments.Uint32(2, &huge) || !arguments.Int32(3, &numa_node)) {
    return nullptr;
  }
  if (size <= 0 || alignment <= 0 || (alignment & (alignment - 1)) != 0 || huge > 2) {
    ThrowRangeError(env, "memory needs a size, and an alignment that is a power of two");
    return nullptr;
  }
  Pages pages;
  const int error = Map(static_cast<size_t>(size), static_cast<size_t>(alignment),
                        static_cast<HugePages>(huge), numa_node, &pages);
  return error != 0 ? Integer(env, error)
                    : MemoryRegion::New(env, pages, static_cast<size_t>(size));
}

// addressOf(view): of its first byte.
napi_value AddressOf(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  void* data = nullptr;
  bool is_typed_array = false;
  bool is_data_view = false;
  napi_is_typedarray(env, arguments[0], &is_typed_array);
  napi_is_dataview(env, arguments[0], &is_data_view);
  // Asking for the buffer has a small array, which V8 keeps in its moving heap, put where it
  // stays.
  napi_value buffer;
  size_t length;
  const napi_status status =
      is_typed_array
          ? napi_get_typedarray_info(env, arguments[0], nullptr, &length, &data, &buffer, nullptr)
      : is_data_view ? napi_get_dataview_info(env, arguments[0], &length, &data, &buffer, nullptr)
                     : napi_get_arraybuffer_info(env, arguments[0], &data, &length);
  if (!Succeeded(env, status)) return nullptr;
  return BigInt(env, reinterpret_cast<uintptr_t>(data));
}

napi_value MemoryBarrier(napi_env, napi_callback_info) {
  cxl_memory_barrier();
  return nullptr;
}

// For the benchmark: what a call into the addon costs that does nothing.
napi_value Nothing(napi_env, napi_callback_info) { return nullptr; }

// For tests: what no collector has freed since contexts are attached.
napi_value OrphanedMemory(napi_env env, napi_callback_info) {
  return Integer(env, static_cast<int64_t>(OrphanedBytes()));
}

bool DefineAll(napi_env env, napi_value exports) {
  const napi_property_descriptor properties[] = {
      {"pageSize", nullptr, nullptr, nullptr, nullptr,
       Integer(env, static_cast<int64_t>(PageSize())), napi_enumerable, nullptr},
      {"openAfu", nullptr, OpenAfu, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"adoptAfu", nullptr, AdoptAfu, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"openCard", nullptr, OpenCard, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"openFlash", nullptr, OpenFlash, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"writeAttribute", nullptr, WriteAttribute, nullptr, nullptr, nullptr, napi_enumerable,
       nullptr},
      {"readAttribute", nullptr, ReadAttribute, nullptr, nullptr, nullptr, napi_enumerable,
       nullptr},
      {"allocate", nullptr, Allocate, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"addressOf", nullptr, AddressOf, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"memoryBarrier", nullptr, MemoryBarrier, nullptr, nullptr, nullptr, napi_enumerable,
       nullptr},
      {"ofdLock", nullptr, OfdLock, nullptr, nullptr, nullptr, napi_enumerable, nullptr},
      {"nothing", nullptr, Nothing, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"orphanedMemory", nullptr, OrphanedMemory, nullptr, nullptr, nullptr, napi_default, nullptr},
  };
  return Environment::Create(env) && AfuFile::Define(env) && ProblemStateMapping::Define(env) &&
         MemoryRegion::Define(env) && CardFile::Define(env) && FlashFile::Define(env) &&
         Succeeded(env, napi_define_properties(env, exports, sizeof properties / sizeof *properties,
                                               properties));
}

}  // namespace
}  // namespace cxl

NAPI_MODULE_INIT() { return cxl::DefineAll(env, exports) ? exports : nullptr; }

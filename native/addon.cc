// SPDX-License-Identifier: Apache-2.0
// The module: its exports are the Binding that lib/binding/index.ts declares, but for what is
// above system calls.
#include <napi.h>
#include <unistd.h>

#include "environment.h"
#include "files/afu_file.h"
#include "files/device_file.h"
#include "files/open.h"
#include "files/range_lock.h"
#include "files/sysfs.h"
#include "memory/memory_region.h"
#include "memory/pages.h"
#include "mmio/barrier.h"
#include "mmio/fault_guard.h"
#include "mmio/problem_state.h"

namespace cxl {
namespace {

// addressOf(view): of its first byte.
Napi::Value AddressOf(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  void* data = nullptr;
  // Asking for the buffer, too, has V8 put the bytes of a small array, which it keeps in its
  // moving heap, where they stay.
  napi_value buffer;
  size_t length;
  napi_status status = napi_invalid_arg;
  if (info[0].IsTypedArray()) {
    status = napi_get_typedarray_info(env, info[0], nullptr, &length, &data, &buffer, nullptr);
  } else if (info[0].IsDataView()) {
    status = napi_get_dataview_info(env, info[0], &length, &data, &buffer, nullptr);
  }
  if (status != napi_ok) return ThrowTypeError(env, "an address is of a view");
  return Napi::BigInt::New(env, static_cast<uint64_t>(reinterpret_cast<uintptr_t>(data)));
}

napi_value MemoryBarrier(napi_env, napi_callback_info) {
  cxl_memory_barrier();
  return nullptr;
}

// guardFaults(): after a handler of SIGBUS was added or removed.
napi_value GuardFaults(napi_env, napi_callback_info) {
  GuardFaultsAgain();
  return nullptr;
}

// For the benchmarks: what a call into the addon costs that does nothing.
napi_value Nothing(napi_env, napi_callback_info) { return nullptr; }

// For the tests: bytes of memory that this copy of the addon has mapped, for all environments.
Napi::Value MappedMemory(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), static_cast<double>(MappedBytes()));
}

Napi::Value ProcessId(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), getpid());
}
// Asked each time: the parent can end.
Napi::Value ParentProcessId(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), getppid());
}

Napi::Object MakeFlash(Napi::Env env) {
  auto flash = Napi::Object::New(env);
  flash.DefineProperties({
      Napi::PropertyDescriptor::Function(env, flash, "openLun", OpenLun, napi_enumerable),
      Napi::PropertyDescriptor::Function(env, flash, "openHost", OpenHost, napi_enumerable),
      Napi::PropertyDescriptor::Function(env, flash, "takeDescriptor", TakeDescriptor,
                                         napi_enumerable),
      Napi::PropertyDescriptor::Function(env, flash, "closeDescriptor", CloseDescriptor,
                                         napi_enumerable),
      Napi::PropertyDescriptor::Accessor<ProcessId>("processId", napi_enumerable),
      Napi::PropertyDescriptor::Accessor<ParentProcessId>("parentProcessId", napi_enumerable),
  });
  return flash;
}

Napi::Object Bare(Napi::Env env, const char* name, napi_callback call) {
  napi_value function = nullptr;
  napi_create_function(env, name, NAPI_AUTO_LENGTH, call, nullptr, &function);
  return Napi::Object(env, function);
}

Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  env.SetInstanceData(new Environment(env));
  AfuFile::Define(env);
  DeviceFile::Define(env);
  ProblemState::Define(env);
  MemoryRegion::Define(env);
  using Property = Napi::PropertyDescriptor;
  const auto page_size = static_cast<double>(PageSize());
  exports.DefineProperties({
      Property::Value("kind", Napi::String::New(env, "native"), napi_enumerable),
      Property::Value("pageSize", Napi::Number::New(env, page_size), napi_enumerable),
      Property::Value("operands", Environment::Of(env).operands().buffer(), napi_enumerable),
      Property::Value("sysfs", MakeSysfs(env), napi_enumerable),
      Property::Value("flash", MakeFlash(env), napi_enumerable),
      Property::Function(env, exports, "openAfu", OpenAfu, napi_enumerable),
      Property::Function(env, exports, "adoptAfu", AdoptAfu, napi_enumerable),
      Property::Function(env, exports, "openCard", OpenCard, napi_enumerable),
      Property::Function(env, exports, "allocate", MemoryRegion::Allocate, napi_enumerable),
      Property::Function(env, exports, "addressOf", AddressOf, napi_enumerable),
      Property::Value("memoryBarrier", Bare(env, "memoryBarrier", MemoryBarrier), napi_enumerable),
      Property::Function(env, exports, "lockRange", LockRange, napi_enumerable),
      Property::Value("guardFaults", Bare(env, "guardFaults", GuardFaults), napi_default),
      Property::Value("nothing", Bare(env, "nothing", Nothing), napi_default),
      Property::Function(env, exports, "mappedMemory", MappedMemory, napi_default),
  });
  return exports;
}

}  // namespace
}  // namespace cxl

// The macro defines a function of another namespace.
static Napi::Object Initialize(Napi::Env env, Napi::Object exports) {
  return cxl::Initialize(env, exports);
}
NODE_API_MODULE(node_cxl, Initialize)

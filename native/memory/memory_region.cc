// SPDX-License-Identifier: Apache-2.0
#include "memory_region.h"

#include <errno.h>

#include <string>
#include <utility>

#include "../mmio/access_function.h"
#include "../mmio/byte_order.h"
#include "ordered_access.h"

namespace cxl {
namespace {

uint8_t LoadWord(const void* address, uint8_t) { return cxl_memory_load8_acquire(address); }
uint16_t LoadWord(const void* address, uint16_t) { return cxl_memory_load16_acquire(address); }
uint32_t LoadWord(const void* address, uint32_t) { return cxl_memory_load32_acquire(address); }
uint64_t LoadWord(const void* address, uint64_t) { return cxl_memory_load64_acquire(address); }
void StoreWord(void* address, uint8_t value) { cxl_memory_store8_release(address, value); }
void StoreWord(void* address, uint16_t value) { cxl_memory_store16_release(address, value); }
void StoreWord(void* address, uint32_t value) { cxl_memory_store32_release(address, value); }
void StoreWord(void* address, uint64_t value) { cxl_memory_store64_release(address, value); }

}  // namespace

RegionPages::~RegionPages() {
  if (!released_) Unmap(pages_);
}

void RegionPages::BytesReleased(napi_env env, void*, void* data) {
  auto self = static_cast<RegionPages*>(data);
  Environment::Of(env).RemoveLeftover(self);
  self->bytes_held_ = false;
  self->Update();
}

void RegionPages::ObjectReleased() {
  object_held_ = false;
  Update();
}

void RegionPages::Free() {
  if (std::exchange(freed_, true)) return;
  // Node tells in a later turn of the event loop that the bytes were released, and a program can
  // free much in one turn.
  if (bytes_held_) Empty(pages_);
  Update();
}

void RegionPages::Update() {
  if (bytes_held_ || (object_held_ && !freed_)) return;
  if (!std::exchange(released_, true)) Unmap(pages_);
  if (!object_held_) delete this;
}

void MemoryRegion::Define(Napi::Env env) {
  Wrap::Define(env, "MemoryRegion",
               {
                   InstanceMethod("detach", &MemoryRegion::Detach),
                   InstanceMethod("free", &MemoryRegion::Free),
               });
}

Napi::Value MemoryRegion::Allocate(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsObject()) return ThrowTypeError(env, "allocate needs a request");
  const auto request = info[0].As<Napi::Object>();
  const Napi::Value fields[] = {request.Get("size"), request.Get("alignment"),
                                request.Get("numaNode"), request.Get("hugePages")};
  if (!fields[0].IsNumber() || !fields[1].IsNumber() || !fields[2].IsNumber() ||
      !fields[3].IsString()) {
    return ThrowTypeError(env, "a field of the request is missing, or of another type");
  }
  const int64_t size = fields[0].As<Napi::Number>().Int64Value();
  const int64_t alignment = fields[1].As<Napi::Number>().Int64Value();
  const int numa_node = fields[2].As<Napi::Number>().Int32Value();
  const std::string huge = fields[3].As<Napi::String>().Utf8Value();
  if (size <= 0 || alignment <= 0 || (alignment & (alignment - 1)) != 0) {
    return ThrowRangeError(env, "memory needs a size, and an alignment that is a power of two");
  }
  Pages pages;
  const int error = cxl::Map(static_cast<size_t>(size), static_cast<size_t>(alignment),
                             huge == "explicit"      ? HugePages::kExplicit
                             : huge == "transparent" ? HugePages::kTransparent
                                                     : HugePages::kNone,
                             numa_node, &pages);
  if (error != 0) return Napi::Number::New(env, error);
  Environment::Of(env).CloseBeforeMemory();
  return Make(env, pages, static_cast<size_t>(size));
}

Napi::Value MemoryRegion::Make(Napi::Env env, const Pages& pages, size_t size) {
  auto region = new RegionPages(pages);
  napi_value buffer;
  // Before the call, which may release the bytes in failing.
  region->HoldBytes();
  const napi_status status = napi_create_external_arraybuffer(
      env, pages.address, size, RegionPages::BytesReleased, region, &buffer);
  if (status == napi_no_external_buffers_allowed) {
    RegionPages::BytesReleased(env, nullptr, region);
    return Napi::Number::New(env, -EOPNOTSUPP);
  }
  if (status != napi_ok) {
    // The environment is ending. Node may have made a buffer all the same, and tell of its release.
    Environment::Of(env).AddLeftover(region);
    Napi::Error::New(env).ThrowAsJavaScriptException();
    return Napi::Value();
  }
  Init init = {region, size, Napi::ArrayBuffer(env, buffer)};
  return New(env, &init);
}

MemoryRegion::MemoryRegion(const Napi::CallbackInfo& info)
    : Wrap(info), operands_(Environment::Of(info.Env()).operands().get()) {
  Init* init = InitOf<Init>(info);
  if (init == nullptr) return;
  pages_ = init->pages;
  pages_->HoldObject();
  size_ = init->size;
  buffer_ = Napi::Reference<Napi::ArrayBuffer>::New(init->buffer, 0);
  const Napi::Env env = info.Env();
  Napi::Object self = Value();
  const auto address = reinterpret_cast<uintptr_t>(pages_->address());
  self.DefineProperties({
      Napi::PropertyDescriptor::Value(
          "address", Napi::BigInt::New(env, static_cast<uint64_t>(address)), napi_enumerable),
      Napi::PropertyDescriptor::Value("size", Napi::Number::New(env, static_cast<double>(size_)),
                                      napi_enumerable),
      Napi::PropertyDescriptor::Value("buffer", init->buffer, napi_enumerable),
  });
  DefineAccess(self, "load8", Load<uint8_t>, this);
  DefineAccess(self, "load16", Load<uint16_t>, this);
  DefineAccess(self, "load32", Load<uint32_t>, this);
  DefineAccess(self, "load64", Load<uint64_t>, this);
  DefineAccess(self, "store8", Store<uint8_t>, this);
  DefineAccess(self, "store16", Store<uint16_t>, this);
  DefineAccess(self, "store32", Store<uint32_t>, this);
  DefineAccess(self, "store64", Store<uint64_t>, this);
}

MemoryRegion::~MemoryRegion() {
  if (pages_ != nullptr) pages_->ObjectReleased();
}

// nullptr with an exception pending.
char* MemoryRegion::Place(napi_env env, size_t width) const {
  if (pages_->freed()) {
    ThrowStateError(env, "the memory has been freed");
    return nullptr;
  }
  char* place = operands_->Place(static_cast<char*>(pages_->address()), size_, width);
  if (place == nullptr) ThrowOutOfRange(env);
  return place;
}

template <class Word>
napi_value MemoryRegion::Load(napi_env env, napi_callback_info info) {
  auto self = BoundTo<MemoryRegion>(env, info);
  const char* place = self->Place(env, sizeof(Word));
  if (place != nullptr) {
    const bool swap = self->operands_->swap != 0;
    self->operands_->Value<Word>() = SwapIf(swap, LoadWord(place, Word()));
  }
  return nullptr;
}

template <class Word>
napi_value MemoryRegion::Store(napi_env env, napi_callback_info info) {
  auto self = BoundTo<MemoryRegion>(env, info);
  char* place = self->Place(env, sizeof(Word));
  if (place != nullptr) {
    const bool swap = self->operands_->swap != 0;
    StoreWord(place, SwapIf(swap, static_cast<Word>(self->operands_->Value<Word>())));
  }
  return nullptr;
}

// detach()
Napi::Value MemoryRegion::Detach(const Napi::CallbackInfo& info) {
  Napi::ArrayBuffer buffer = buffer_.Value();
  if (!buffer.IsDetached()) buffer.Detach();
  return info.Env().Undefined();
}

// free(). Whoever has taken the bytes of the buffer keeps them, as does something at work with them
// on another thread: BytesReleased() tells when they are let go.
Napi::Value MemoryRegion::Free(const Napi::CallbackInfo& info) {
  pages_->Free();
  return info.Env().Undefined();
}

}  // namespace cxl

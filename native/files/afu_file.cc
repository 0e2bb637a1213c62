// SPDX-License-Identifier: Apache-2.0
#include "afu_file.h"

#include <errno.h>

#include <string>
#include <utility>

#include "../mmio/problem_state.h"
#include "../threads/wakeup.h"

namespace cxl {

void AfuFile::Define(Napi::Env env) {
  Wrap::Define(
      env, "AfuFile",
      {InstanceAccessor("fd", &AfuFile::Fd, nullptr), InstanceMethod("ioctl", &AfuFile::Ioctl),
       InstanceMethod("ioctlSync", &AfuFile::IoctlSync), InstanceMethod("map", &AfuFile::Map),
       InstanceMethod("onEvents", &AfuFile::OnEvents), InstanceMethod("arm", &AfuFile::Arm),
       InstanceMethod("disarm", &AfuFile::Disarm), InstanceMethod("readSync", &AfuFile::ReadSync),
       InstanceMethod("waitForWakeup", &AfuFile::WaitForWakeup),
       InstanceMethod("close", &AfuFile::Close),
       InstanceMethod("closeBeforeMemory", &AfuFile::CloseBeforeMemory)});
}

AfuFile::AfuFile(const Napi::CallbackInfo& info)
    : Wrap(info), FileObject(Environment::Of(info.Env()), *this) {
  Init* init = InitOf<Init>(info);
  if (init == nullptr) return;
  afu_ = init->device.get();
  afu_->source.listener = this;
  Open(std::move(init->device));
}

AfuFile::~AfuFile() { Abandon(); }

void AfuFile::Leave() {
  if (environment().events().Leave(&afu_->source)) Unref();
  while (mappings != nullptr) mappings->Unmap();
}

void AfuFile::OnEvents(Napi::Uint8Array batch, size_t length, int error, bool waited) {
  const Napi::Object self = Value();
  // The object is no longer kept alive for the wait.
  if (waited) Unref();
  if (self.IsEmpty() || sink_.IsEmpty()) return;
  const Napi::Function sink = sink_.Value();
  if (sink.IsEmpty()) return;
  const auto env = self.Env();
  sink.Call(self, {batch, Napi::Number::New(env, static_cast<double>(length)),
                   Napi::Number::New(env, error)});
}

// map(offset, length, endian)
Napi::Value AfuFile::Map(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsNumber() || !info[1].IsNumber() || !info[2].IsString()) {
    return ThrowTypeError(env, "a mapping needs an offset, a length and a byte order");
  }
  const int64_t offset = info[0].As<Napi::Number>().Int64Value();
  const int64_t length = info[1].As<Napi::Number>().Int64Value();
  if (offset < 0 || length <= 0) return ThrowRangeError(env, "a mapping needs a range");
  if (!open()) return Napi::Number::New(env, -EBADF);
  const bool big_endian = info[2].As<Napi::String>().Utf8Value() == "big";
  return ProblemState::Map(env, *this, afu_->fd(), offset, static_cast<size_t>(length), big_endian);
}

// onEvents(sink). What keeps the function alive is a property of the object and not a reference: a
// sink leads back to its context, which could then never be collected.
Napi::Value AfuFile::OnEvents(const Napi::CallbackInfo& info) {
  Value().Set("sink", info[0]);
  if (info[0].IsFunction()) sink_ = Napi::Weak(info[0].As<Napi::Function>());
  return info.Env().Undefined();
}

// arm(): 0 or a negative errno.
Napi::Value AfuFile::Arm(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!open()) return Napi::Number::New(env, -EBADF);
  WaitSet& events = environment().events();
  if (events.wanted(&afu_->source)) return Napi::Number::New(env, 0);
  const int error = events.Arm(&afu_->source);
  if (error == 0) Ref();
  return Napi::Number::New(env, error);
}

// disarm()
Napi::Value AfuFile::Disarm(const Napi::CallbackInfo& info) {
  if (open() && environment().events().Disarm(&afu_->source)) Unref();
  return info.Env().Undefined();
}

// readSync(milliseconds, spin)
Napi::Value AfuFile::ReadSync(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const double milliseconds = info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : 0;
  const double spin = info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : 0;
  const int result =
      open() ? environment().events().ReadSync(&afu_->source, milliseconds, spin) : -EBADF;
  return env.IsExceptionPending() ? Napi::Value() : Napi::Number::New(env, result);
}

// waitForWakeup(word, milliseconds): `word` is a BigUint64Array of one element, or undefined.
Napi::Value AfuFile::WaitForWakeup(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  void* word = nullptr;
  if (!info[0].IsUndefined()) {
    napi_typedarray_type type;
    size_t length;
    if (napi_get_typedarray_info(env, info[0], &type, &length, &word, nullptr, nullptr) !=
            napi_ok ||
        type != napi_biguint64_array || length == 0 || word == nullptr) {
      return ThrowTypeError(env, "a wake-up is awaited by a 64-bit word");
    }
  }
  constexpr double kNanoseconds = 1e6;
  const double limit = info[1].IsNumber() ? info[1].As<Napi::Number>().DoubleValue() : 0;
  return Napi::Number::New(env, cxl::WaitForWakeup(static_cast<const uint64_t*>(word),
                                                   static_cast<uint64_t>(limit * kNanoseconds)));
}

// closeBeforeMemory()
Napi::Value AfuFile::CloseBeforeMemory(const Napi::CallbackInfo& info) {
  environment().CloseBeforeMemory();
  return info.Env().Undefined();
}

}  // namespace cxl

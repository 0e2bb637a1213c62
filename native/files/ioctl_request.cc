// SPDX-License-Identifier: Apache-2.0
#include "ioctl_request.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "../abi/cxlflash.h"
#include "../environment.h"
#include "../errors.h"

namespace cxl {
namespace {

template <class T>
void Put(uint8_t* target, T value) {
  memcpy(target, &value, sizeof value);
}

template <class T>
T Get(const uint8_t* source) {
  T value;
  memcpy(&value, source, sizeof value);
  return value;
}

bool IsBytes(Napi::Value value) {
  return value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array;
}

}  // namespace

IoctlRequest::~IoctlRequest() {
  if (const int fd = TakeDescriptor(); fd >= 0) close(fd);
}

int IoctlRequest::TakeDescriptor() {
  if (result_ < 0 || taken_ || call_.descriptor == 0) return -1;
  const auto flags = Get<uint64_t>(output_ + offsetof(cxlflash_header, return_flags));
  if ((flags & CXLFLASH_APP_CLOSE_ADAP_FD) == 0) return -1;
  taken_ = true;
  return static_cast<int>(Get<uint64_t>(output_ + call_.descriptor));
}

bool IoctlRequest::Fill(Napi::Object input) {
  if (!input.IsObject()) {
    ThrowTypeError(input.Env(), "the fields of an ioctl are given as an object");
    return false;
  }
  for (size_t i = 0; i < call_.field_count; ++i) {
    const IoctlField& field = call_.fields[i];
    if (field.direction != Direction::kOut && !ReadField(input.Get(field.name), field)) {
      return false;
    }
  }
  return call_.data.address == 0 || ReadData(input.Get("data"));
}

// What was left out stays zero.
bool IoctlRequest::ReadField(Napi::Value value, const IoctlField& field) {
  if (value.IsEmpty()) return false;
  if (value.IsUndefined()) return true;
  uint8_t* target = input_ + field.offset;
  if (field.size == sizeof(uint64_t)) {
    if (value.IsBigInt()) {
      bool lossless;
      Put(target, value.As<Napi::BigInt>().Uint64Value(&lossless));
      return true;
    }
  } else if (field.size <= sizeof(uint32_t)) {
    if (value.IsNumber()) {
      const uint32_t number = value.As<Napi::Number>().Uint32Value();
      if (field.size == sizeof(uint32_t)) {
        Put(target, number);
      } else {
        Put(target, static_cast<uint16_t>(number));
      }
      return true;
    }
  } else if (IsBytes(value)) {
    const auto bytes = value.As<Napi::Uint8Array>();
    if (bytes.ByteLength() == field.size) {
      memcpy(target, bytes.Data(), field.size);
      return true;
    }
    ThrowRangeError(value.Env(), "a field of bytes has another length");
    return false;
  }
  ThrowTypeError(value.Env(), "a field of an ioctl has another type");
  return false;
}

// A copy: nothing stops JavaScript from detaching its buffer while the driver works.
bool IoctlRequest::ReadData(Napi::Value value) {
  if (value.IsEmpty()) return false;
  if (value.IsUndefined()) return true;
  if (!IsBytes(value)) {
    ThrowTypeError(value.Env(), "the data of an ioctl is a Uint8Array");
    return false;
  }
  const auto bytes = value.As<Napi::Uint8Array>();
  if (bytes.ByteLength() > call_.data.most) {
    ThrowRangeError(value.Env(), "the data of the ioctl is too long");
    return false;
  }
  data_.assign(bytes.Data(), bytes.Data() + bytes.ByteLength());
  data_source_ = Napi::Reference<Napi::Uint8Array>::New(bytes, 1);
  return true;
}

void IoctlRequest::Run(Device& device) {
  if (!data_.empty()) {
    Put(input_ + call_.data.address,
        static_cast<uint64_t>(reinterpret_cast<uintptr_t>(data_.data())));
    if (call_.data.length_size == sizeof(uint32_t)) {
      Put(input_ + call_.data.length, static_cast<uint32_t>(data_.size()));
    } else {
      Put(input_ + call_.data.length, static_cast<uint64_t>(data_.size()));
    }
  }
  do {
    memcpy(output_, input_, sizeof output_);
    result_ = device.Ioctl(call_.request, output_);
  } while (result_ == -EINTR && device.table().restart);
}

Napi::Value IoctlRequest::Answer(Napi::Env env) {
  if (result_ < 0) return Napi::Number::New(env, result_);
  const auto answer = Napi::Object::New(env);
  for (size_t i = 0; i < call_.field_count && !env.IsExceptionPending(); ++i) {
    const IoctlField& field = call_.fields[i];
    if (field.direction != Direction::kIn) answer.Set(field.name, WriteField(env, field));
  }
  if (call_.has_result) answer.Set("result", Napi::Number::New(env, result_));
  if (!data_.empty()) {
    // What the driver wrote; nothing where the buffer was transferred meanwhile.
    Napi::Uint8Array source = data_source_.Value();
    if (source.ByteLength() == data_.size()) memcpy(source.Data(), data_.data(), data_.size());
  }
  if (env.IsExceptionPending()) return Napi::Value();
  if (const int fd = TakeDescriptor(); fd >= 0) Environment::Of(env).Hold(fd);
  return answer;
}

Napi::Value IoctlRequest::WriteField(Napi::Env env, const IoctlField& field) const {
  const uint8_t* source = output_ + field.offset;
  switch (field.size) {
    case sizeof(uint64_t):
      return Napi::BigInt::New(env, Get<uint64_t>(source));
    case sizeof(uint32_t):
      return Napi::Number::New(env, Get<uint32_t>(source));
    case sizeof(uint16_t):
      return Napi::Number::New(env, Get<uint16_t>(source));
    default:
      return Napi::Buffer<uint8_t>::Copy(env, source, field.size);
  }
}

}  // namespace cxl

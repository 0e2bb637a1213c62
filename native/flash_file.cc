// SPDX-License-Identifier: Apache-2.0
#include "flash_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "abi/cxlflash.h"
#include "arguments.h"
#include "flash_calls.h"
#include "open_file.h"
#include "text.h"
#include "wrapped.h"

namespace cxl {
namespace {

// One ioctl: its structure filled from an object, and read into another.
class CallOperation : public Operation {
 public:
  CallOperation(Environment* environment, FlashFile* file, const FlashCall* call, unsigned worker)
      : environment_(environment), file_(file), call_(call), worker_(worker) {}

  ~CallOperation() override {
    // A descriptor that nobody will hear of would hold its context for ever.
    if (result_ >= 0 && !answered_) CloseDescriptor();
    free(data_);
  }

  // False with an exception pending.
  bool Read(napi_env env, napi_value input) {
    for (size_t i = 0; i < call_->count; i++) {
      const FlashField& field = call_->fields[i];
      if (field.direction != Direction::kOut && !ReadField(env, input, field)) return false;
    }
    return call_->data_address == 0 || ReadData(env, input);
  }

  void Run() override {
    if (data_ != nullptr) {
      const uint64_t address = reinterpret_cast<uintptr_t>(data_);
      const auto length = static_cast<uint32_t>(data_length_);
      memcpy(input_ + call_->data_address, &address, sizeof address);
      memcpy(input_ + call_->data_length, &length, sizeof length);
    }
    do {
      memcpy(output_, input_, sizeof output_);
      result_ = ioctl(file_->fd, call_->request, output_);
      if (result_ < 0) result_ = -errno;
      // Waiting for a reset was interrupted, before anything was done.
    } while (result_ == -EINTR);
  }

  napi_value Answer(napi_env env) override {
    environment_->flash().Done(worker_);
    if (result_ < 0) return Integer(env, result_);
    napi_value answer;
    if (!Succeeded(env, napi_create_object(env, &answer))) return nullptr;
    for (size_t i = 0; i < call_->count; i++) {
      const FlashField& field = call_->fields[i];
      if (field.direction != Direction::kIn && !WriteField(env, answer, field)) return nullptr;
    }
    if (data_ != nullptr) {
      napi_value data;
      if (!Succeeded(env, napi_create_buffer_copy(env, data_length_, data_, nullptr, &data)) ||
          !Succeeded(env, napi_set_named_property(env, answer, "data", data))) {
        return nullptr;
      }
    }
    answered_ = true;
    return answer;
  }

 private:
  // Undefined for what was left out.
  bool Property(napi_env env, napi_value object, const char* name, napi_value* value,
                napi_valuetype* type) {
    return Succeeded(env, napi_get_named_property(env, object, name, value)) &&
           Succeeded(env, napi_typeof(env, *value, type));
  }

  bool ReadField(napi_env env, napi_value input, const FlashField& field) {
    napi_value value;
    napi_valuetype type;
    if (!Property(env, input, field.name, &value, &type)) return false;
    if (type == napi_undefined) return true;
    uint8_t* target = input_ + field.offset;
    if (field.size == sizeof(uint64_t)) {
      uint64_t number;
      bool lossless;
      if (!Succeeded(env, napi_get_value_bigint_uint64(env, value, &number, &lossless))) {
        return false;
      }
      memcpy(target, &number, sizeof number);
      return true;
    }
    if (field.size == sizeof(uint16_t)) {
      uint32_t number;
      if (!Succeeded(env, napi_get_value_uint32(env, value, &number))) return false;
      const auto half = static_cast<uint16_t>(number);
      memcpy(target, &half, sizeof half);
      return true;
    }
    void* bytes;
    size_t length;
    if (!Bytes(env, value, &bytes, &length)) return false;
    if (length != field.size) {
      ThrowRangeError(env, "a field of bytes has another length");
      return false;
    }
    memcpy(target, bytes, length);
    return true;
  }

  // A copy: nothing stops JavaScript from detaching its buffer while the driver works.
  bool ReadData(napi_env env, napi_value input) {
    napi_value value;
    napi_valuetype type;
    if (!Property(env, input, "data", &value, &type)) return false;
    if (type == napi_undefined) return true;
    void* bytes;
    size_t length;
    if (!Bytes(env, value, &bytes, &length)) return false;
    if (length > UINT32_MAX) {
      ThrowRangeError(env, "the data is too long");
      return false;
    }
    if (length == 0) return true;
    data_ = static_cast<uint8_t*>(malloc(length));
    if (data_ == nullptr) abort();
    memcpy(data_, bytes, length);
    data_length_ = length;
    return true;
  }

  bool Bytes(napi_env env, napi_value value, void** bytes, size_t* length) {
    napi_typedarray_type type;
    if (!Succeeded(env,
                   napi_get_typedarray_info(env, value, &type, length, bytes, nullptr, nullptr))) {
      return false;
    }
    if (type == napi_uint8_array) return true;
    ThrowTypeError(env, "bytes are given as a Uint8Array");
    return false;
  }

  bool WriteField(napi_env env, napi_value answer, const FlashField& field) {
    const uint8_t* source = output_ + field.offset;
    napi_value value = nullptr;
    if (field.size == sizeof(uint64_t)) {
      uint64_t number;
      memcpy(&number, source, sizeof number);
      value = BigInt(env, number);
    } else if (!Succeeded(env, napi_create_buffer_copy(env, field.size, source, nullptr, &value))) {
      return false;
    }
    return value != nullptr &&
           Succeeded(env, napi_set_named_property(env, answer, field.name, value));
  }

  void CloseDescriptor() {
    if (call_->descriptor == 0) return;
    uint64_t flags;
    uint64_t descriptor;
    memcpy(&flags, output_ + offsetof(cxlflash_header, return_flags), sizeof flags);
    memcpy(&descriptor, output_ + call_->descriptor, sizeof descriptor);
    if ((flags & CXLFLASH_APP_CLOSE_ADAP_FD) != 0) close(static_cast<int>(descriptor));
  }

  Environment* const environment_;
  Ref<FlashFile> file_;
  const FlashCall* const call_;
  const unsigned worker_;
  alignas(8) uint8_t input_[kLargestFlashCall] = {};
  alignas(8) uint8_t output_[kLargestFlashCall] = {};
  uint8_t* data_ = nullptr;
  size_t data_length_ = 0;
  int result_ = -EBADF;
  bool answered_ = false;
};

class CloseOperation : public Operation {
 public:
  explicit CloseOperation(FlashFile* file) : file_(file) {}
  ~CloseOperation() override { file_->Close(); }
  void Run() override { result_ = file_->Close(); }
  napi_value Answer(napi_env env) override { return Integer(env, result_); }

 private:
  Ref<FlashFile> file_;
  int result_ = 0;
};

}  // namespace

class OpenFlashOperation : public Operation {
 public:
  explicit OpenFlashOperation(Environment* environment) : environment_(environment) {}
  ~OpenFlashOperation() override {
    if (fd_ >= 0) close(fd_);
  }

  bool Read(napi_env env, napi_value path) { return path_.Read(env, path); }

  void Run() override {
    fd_ = OpenFile(path_.c_str(), O_RDWR | O_NONBLOCK);
    error_ = fd_ < 0 ? -errno : 0;
  }

  napi_value Answer(napi_env env) override {
    if (error_ != 0) return Integer(env, error_);
    Ref<FlashFile> file(new FlashFile(environment_, std::exchange(fd_, -1)));
    return Wrapped<FlashFile>::New(env, file.get());
  }

 private:
  Environment* const environment_;
  Text path_;
  int fd_ = -1;
  int error_ = 0;
};

const char FlashFile::kName[] = "FlashFile";
const napi_type_tag FlashFile::kTag = {0x6e6f64652d63786cULL, 0x666c6173682d666cULL};

bool FlashFile::Define(napi_env env) {
  const napi_property_descriptor methods[] = {
      {"fd", nullptr, nullptr, Fd, nullptr, nullptr, napi_default, nullptr},
      {"call", nullptr, Call, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"close", nullptr, CloseFile, nullptr, nullptr, nullptr, napi_default, nullptr},
  };
  return Wrapped<FlashFile>::Define(env, methods, sizeof methods / sizeof *methods);
}

int FlashFile::Close() {
  if (closed_.exchange(true)) return 0;
  return close(fd) != 0 && errno != EINTR ? -errno : 0;
}

void FlashFile::Collected(napi_env env) {
  if (leaving_) return;
  leaving_ = true;
  environment_->control().Submit(env, new CloseOperation(this), nullptr);
}

napi_value FlashFile::Fd(napi_env env, napi_callback_info info) {
  Arguments<0> arguments(env, info);
  FlashFile* file = Wrapped<FlashFile>::Receiver(env, arguments.self());
  if (file == nullptr) return nullptr;
  return Integer(env, file->leaving_ ? -1 : file->fd);
}

// call(name, input, settle): settle(object or negative errno).
napi_value FlashFile::Call(napi_env env, napi_callback_info info) {
  Arguments<3> arguments(env, info);
  FlashFile* file = Wrapped<FlashFile>::Receiver(env, arguments.self());
  Text name;
  if (file == nullptr || !name.Read(env, arguments[0])) return nullptr;
  const FlashCall* call = FindFlashCall(name.c_str());
  if (call == nullptr || file->leaving_) {
    ThrowRangeError(env, "there is no such flash call, or the file is closed");
    return nullptr;
  }
  Environment* environment = file->environment_.get();
  const unsigned worker = environment->flash().Choose();
  auto operation = new CallOperation(environment, file, call, worker);
  if (!operation->Read(env, arguments[1])) {
    delete operation;
    return nullptr;
  }
  environment->flash().Submit(env, worker, operation, arguments[2]);
  return nullptr;
}

// close(settle)
napi_value FlashFile::CloseFile(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  FlashFile* file = Wrapped<FlashFile>::Receiver(env, arguments.self());
  if (file == nullptr) return nullptr;
  file->leaving_ = true;
  file->environment_->control().Submit(env, new CloseOperation(file), arguments[0]);
  return nullptr;
}

napi_value OpenFlash(napi_env env, napi_callback_info info) {
  Arguments<2> arguments(env, info);
  Environment* environment = Environment::Of(env);
  if (environment == nullptr) return nullptr;
  auto operation = new OpenFlashOperation(environment);
  if (!operation->Read(env, arguments[0])) {
    delete operation;
    return nullptr;
  }
  environment->control().Submit(env, operation, arguments[1]);
  return nullptr;
}

}  // namespace cxl

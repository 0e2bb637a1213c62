// SPDX-License-Identifier: Apache-2.0
#include "file_object.h"

#include <errno.h>

#include <string>
#include <utility>

#include "../errors.h"
#include "close_operation.h"
#include "ioctl_request.h"

namespace cxl {
namespace {

// nullptr with an exception pending.
const Ioctl* FindCall(const Napi::CallbackInfo& info, const IoctlTable& table) {
  if (!info[0].IsString()) {
    ThrowTypeError(info.Env(), "an ioctl is named by a string");
    return nullptr;
  }
  const Ioctl* call = table.Find(info[0].As<Napi::String>().Utf8Value().c_str());
  if (call == nullptr) ThrowRangeError(info.Env(), "this file has no ioctl of that name");
  return call;
}

}  // namespace

class IoctlOperation : public Operation {
 public:
  IoctlOperation(Napi::Env env, FileObject& file, const Ioctl& call)
      : env_(env), file_(file), device_(*file.device_), request_(call) {
    if (file.under_way_++ == 0) file.self_.Ref();
  }
  ~IoctlOperation() override { file_.Finished(env_); }

  bool Fill(Napi::Object input) { return request_.Fill(input); }

  static Napi::Value Submit(std::unique_ptr<IoctlOperation> operation) {
    Environment& environment = operation->file_.environment_;
    const Napi::Env env = operation->env_;
    if (operation->device_.table().concurrent) {
      return environment.pool().Submit(env, std::move(operation));
    }
    return environment.control().Submit(env, std::move(operation));
  }

  void Run() override { request_.Run(device_); }
  Napi::Value Answer(Napi::Env env) override { return request_.Answer(env); }

 private:
  const Napi::Env env_;
  FileObject& file_;
  Device& device_;
  IoctlRequest request_;
};

void FileObject::Open(std::unique_ptr<Device> device) {
  device_ = std::move(device);
  environment_.Add(this);
}

void FileObject::CloseNow() {
  if (device_ == nullptr) return;
  Leave();
  device_.reset();
}

void FileObject::Abandon() {
  if (device_ == nullptr) return;
  environment_.Remove(this);
  Leave();
  environment_.control().Post(std::make_unique<CloseOperation>(std::move(device_)));
}

Napi::Value FileObject::Fd(const Napi::CallbackInfo& info) {
  return Napi::Number::New(info.Env(), open() ? device_->fd() : -1);
}

// ioctl(name, input)
Napi::Value FileObject::Ioctl(const Napi::CallbackInfo& info) {
  if (!open()) return Resolved(Napi::Number::New(info.Env(), -EBADF));
  const cxl::Ioctl* call = FindCall(info, device_->table());
  if (call == nullptr) return Napi::Value();
  auto operation = std::make_unique<IoctlOperation>(info.Env(), *this, *call);
  if (!operation->Fill(info[1].As<Napi::Object>())) return Napi::Value();
  return IoctlOperation::Submit(std::move(operation));
}

// ioctlSync(name, input)
Napi::Value FileObject::IoctlSync(const Napi::CallbackInfo& info) {
  if (!open()) return Napi::Number::New(info.Env(), -EBADF);
  const cxl::Ioctl* call = FindCall(info, device_->table());
  if (call == nullptr) return Napi::Value();
  IoctlRequest request(*call);
  // Filling runs getters of the input, which may close the file.
  if (!request.Fill(info[1].As<Napi::Object>())) return Napi::Value();
  if (!open()) return Napi::Number::New(info.Env(), -EBADF);
  request.Run(*device_);
  return request.Answer(info.Env());
}

void FileObject::Finished(Napi::Env env) {
  if (--under_way_ > 0) return;
  self_.Unref();
  if (deferred_ && device_ != nullptr && !environment_.stopped()) {
    deferred_->Resolve(SubmitClose(env));
  }
}

Napi::Value FileObject::SubmitClose(Napi::Env env) {
  environment_.Remove(this);
  return environment_.control().Submit(env, std::make_unique<CloseOperation>(std::move(device_)));
}

// close()
Napi::Value FileObject::Close(const Napi::CallbackInfo& info) {
  if (!closing_.IsEmpty()) return closing_.Value();
  if (device_ == nullptr) return Resolved(Napi::Number::New(info.Env(), 0));
  Leave();
  Napi::Value promise;
  if (under_way_ == 0) {
    promise = SubmitClose(info.Env());
  } else {
    deferred_.emplace(info.Env());
    promise = deferred_->promise();
  }
  if (!promise.IsEmpty()) closing_ = Napi::Reference<Napi::Value>::New(promise, 1);
  return promise;
}

}  // namespace cxl

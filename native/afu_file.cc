// SPDX-License-Identifier: Apache-2.0
#include "afu_file.h"

#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "arguments.h"
#include "attachments.h"
#include "close_operation.h"
#include "problem_state.h"
#include "wrapped.h"

namespace cxl {
namespace {

// Past the end of any problem state area, so that nothing is ever mapped there.
constexpr off_t kBeyondAnyArea = off_t{1} << 40;

// Whether somebody has started this context already: the kernel refuses any mapping of one
// that is not started with EIO, and looks at the range only afterwards.
bool IsStarted(int fd) {
  void* mapped = mmap(nullptr, PageSize(), PROT_READ, MAP_SHARED, fd, kBeyondAnyArea);
  if (mapped == MAP_FAILED) return errno != EIO;
  munmap(mapped, PageSize());
  return true;
}

bool ReadStartWork(const Arguments<5>& arguments, cxl_ioctl_start_work* work) {
  int32_t interrupts;
  memset(work, 0, sizeof *work);
  if (!arguments.Uint64(0, &work->flags) || !arguments.Uint64(1, &work->work_element_descriptor) ||
      !arguments.Uint64(2, &work->amr) || !arguments.Int32(3, &interrupts)) {
    return false;
  }
  work->num_interrupts = static_cast<int16_t>(interrupts);
  return true;
}

class StartOperation : public Operation {
 public:
  StartOperation(AfuFile* file, const cxl_ioctl_start_work& work) : file_(file), work_(work) {}
  void Run() override { result_ = file_->Start(&work_); }
  napi_value Answer(napi_env env) override { return Integer(env, result_); }

 private:
  Ref<AfuFile> file_;
  cxl_ioctl_start_work work_;
  int result_ = 0;
};

}  // namespace

const char AfuFile::kName[] = "AfuFile";
const napi_type_tag AfuFile::kTag = {0x6e6f64652d63786cULL, 0x6166752d66696c65ULL};

AfuFile::AfuFile(Environment* environment, int fd, bool owned, bool adopted)
    : fd(fd), owned(owned), adopted(adopted), environment_(environment) {
  if (adopted && IsStarted(fd)) {
    attached_ = 1;
    ContextAttaches();
  }
}

bool AfuFile::Define(napi_env env) {
  const napi_property_descriptor methods[] = {
      {"fd", nullptr, nullptr, Fd, nullptr, nullptr, napi_default, nullptr},
      {"startWork", nullptr, StartWork, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"startWorkSync", nullptr, StartWorkSync, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"processElement", nullptr, ProcessElement, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"afuId", nullptr, AfuId, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"map", nullptr, MapArea, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"onEvents", nullptr, OnEvents, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"arm", nullptr, Arm, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"disarm", nullptr, Disarm, nullptr, nullptr, nullptr, napi_default, nullptr},
      {"close", nullptr, CloseFile, nullptr, nullptr, nullptr, napi_default, nullptr},
  };
  return Wrapped<AfuFile>::Define(env, methods, sizeof methods / sizeof *methods);
}

napi_value AfuFile::New(napi_env env, int fd, bool owned, bool adopted) {
  Environment* environment = Environment::Of(env);
  if (environment == nullptr) {
    if (owned) close(fd);
    return nullptr;
  }
  Ref<AfuFile> file(new AfuFile(environment, fd, owned, adopted));
  napi_value object = Wrapped<AfuFile>::New(env, file.get());
  if (object == nullptr || !Succeeded(env, napi_create_reference(env, object, 0, &file->object_))) {
    return nullptr;
  }
  return object;
}

int AfuFile::Start(cxl_ioctl_start_work* work) {
  if (closed_) return -EBADF;
  ++attached_;
  ContextAttaches();
  if (ioctl(fd, CXL_IOCTL_START_WORK, work) >= 0) return 0;
  const int error = -errno;
  --attached_;
  ContextsDetached(1);
  return error;
}

int AfuFile::Close() {
  if (closed_.exchange(true)) return 0;
  environment_->events().AwaitLeft(this);
  int error = 0;
  // The descriptor is gone even if a signal cut the wait for the hardware short.
  if (owned && close(fd) != 0 && errno != EINTR) error = -errno;
  // Of a descriptor that is not ours, its owner has to know how long the AFU runs.
  ContextsDetached(attached_.exchange(0));
  return error;
}

void AfuFile::Leave(napi_env env) {
  leaving_ = true;
  if (environment_->events().Leave(this)) LetGo(env);
  while (mappings != nullptr) mappings->Unmap();
}

void AfuFile::Collected(napi_env env) {
  napi_delete_reference(env, std::exchange(object_, nullptr));
  if (leaving_) return;
  Leave(env);
  environment_->control().Submit(env, new CloseOperation<AfuFile>(this), nullptr);
}

void AfuFile::LetGo(napi_env env) {
  environment_->Let();
  uint32_t count;
  if (object_ != nullptr) napi_reference_unref(env, object_, &count);
}

void AfuFile::Deliver(napi_env env, napi_value batch, size_t length, int error, bool wanted) {
  napi_value object = nullptr;
  napi_value sink;
  napi_value arguments[3] = {batch, nullptr, nullptr};
  if (object_ != nullptr) napi_get_reference_value(env, object_, &object);
  if (wanted) LetGo(env);
  if (object == nullptr) return;
  if (napi_get_named_property(env, object, "sink", &sink) == napi_ok &&
      napi_create_double(env, static_cast<double>(length), &arguments[1]) == napi_ok &&
      napi_create_int32(env, error, &arguments[2]) == napi_ok) {
    napi_call_function(env, object, sink, 3, arguments, nullptr);
  }
}

napi_value AfuFile::Fd(napi_env env, napi_callback_info info) {
  Arguments<0> arguments(env, info);
  AfuFile* file = Wrapped<AfuFile>::Receiver(env, arguments.self());
  if (file == nullptr) return nullptr;
  return Integer(env, file->leaving_ ? -1 : file->fd);
}

// startWork(flags, wed, amr, interrupts, settle)
napi_value AfuFile::StartWork(napi_env env, napi_callback_info info) {
  Arguments<5> arguments(env, info);
  cxl_ioctl_start_work work;
  AfuFile* file = Wrapped<AfuFile>::Receiver(env, arguments.self());
  if (file == nullptr || !ReadStartWork(arguments, &work)) return nullptr;
  file->environment_->control().Submit(env, new StartOperation(file, work), arguments[4]);
  return nullptr;
}

// startWorkSync(flags, wed, amr, interrupts)
napi_value AfuFile::StartWorkSync(napi_env env, napi_callback_info info) {
  Arguments<5> arguments(env, info);
  cxl_ioctl_start_work work;
  AfuFile* file = Wrapped<AfuFile>::Receiver(env, arguments.self());
  if (file == nullptr || !ReadStartWork(arguments, &work)) return nullptr;
  const int error = file->leaving_ ? -EBADF : file->Start(&work);
  if (error != 0) return Integer(env, error);
  return Integer(env, (work.flags & CXL_START_WORK_TID) != 0 ? work.tid : 0);
}

napi_value AfuFile::ProcessElement(napi_env env, napi_callback_info info) {
  Arguments<0> arguments(env, info);
  AfuFile* file = Wrapped<AfuFile>::Receiver(env, arguments.self());
  if (file == nullptr) return nullptr;
  uint32_t element = 0;
  if (file->leaving_) return Integer(env, -EBADF);
  if (ioctl(file->fd, CXL_IOCTL_GET_PROCESS_ELEMENT, &element) < 0) return Integer(env, -errno);
  return Integer(env, element);
}

napi_value AfuFile::AfuId(napi_env env, napi_callback_info info) {
  Arguments<0> arguments(env, info);
  AfuFile* file = Wrapped<AfuFile>::Receiver(env, arguments.self());
  if (file == nullptr) return nullptr;
  cxl_afu_id id = {};
  if (file->leaving_) return Integer(env, -EBADF);
  if (ioctl(file->fd, CXL_IOCTL_GET_AFU_ID, &id) < 0) return Integer(env, -errno);
  napi_value answer;
  if (!Succeeded(env, napi_create_object(env, &answer))) return nullptr;
  const auto visible =
      static_cast<napi_property_attributes>(napi_enumerable | napi_writable | napi_configurable);
  const napi_property_descriptor fields[] = {
      {"flags", nullptr, nullptr, nullptr, nullptr, BigInt(env, id.flags), visible, nullptr},
      {"cardId", nullptr, nullptr, nullptr, nullptr, Integer(env, id.card_id), visible, nullptr},
      {"afuOffset", nullptr, nullptr, nullptr, nullptr, Integer(env, id.afu_offset), visible,
       nullptr},
      {"afuMode", nullptr, nullptr, nullptr, nullptr, Integer(env, id.afu_mode), visible, nullptr},
  };
  return Succeeded(env, napi_define_properties(env, answer, 4, fields)) ? answer : nullptr;
}

// map(offset, length, bigEndian)
napi_value AfuFile::MapArea(napi_env env, napi_callback_info info) {
  Arguments<3> arguments(env, info);
  int64_t offset;
  int64_t length;
  bool big_endian;
  AfuFile* file = Wrapped<AfuFile>::Receiver(env, arguments.self());
  if (file == nullptr || !arguments.Int64(0, &offset) || !arguments.Int64(1, &length) ||
      !arguments.Bool(2, &big_endian)) {
    return nullptr;
  }
  if (file->leaving_) return Integer(env, -EBADF);
  return ProblemStateMapping::New(env, file, arguments.self(), offset, length, big_endian);
}

// onEvents(sink). Kept by the object, not by us: a sink leads back to its context, which could
// then never be collected.
napi_value AfuFile::OnEvents(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  if (Wrapped<AfuFile>::Receiver(env, arguments.self()) == nullptr) return nullptr;
  Succeeded(env, napi_set_named_property(env, arguments.self(), "sink", arguments[0]));
  return nullptr;
}

napi_value AfuFile::Arm(napi_env env, napi_callback_info info) {
  Arguments<0> arguments(env, info);
  AfuFile* file = Wrapped<AfuFile>::Receiver(env, arguments.self());
  if (file == nullptr || !file->environment_->Start()) return nullptr;
  if (file->environment_->events().Arm(file)) {
    uint32_t count;
    file->environment_->Hold();
    napi_reference_ref(env, file->object_, &count);
  }
  return nullptr;
}

napi_value AfuFile::Disarm(napi_env env, napi_callback_info info) {
  Arguments<0> arguments(env, info);
  AfuFile* file = Wrapped<AfuFile>::Receiver(env, arguments.self());
  if (file == nullptr) return nullptr;
  if (file->environment_->events().Disarm(file)) file->LetGo(env);
  return nullptr;
}

// close(settle)
napi_value AfuFile::CloseFile(napi_env env, napi_callback_info info) {
  Arguments<1> arguments(env, info);
  AfuFile* file = Wrapped<AfuFile>::Receiver(env, arguments.self());
  if (file == nullptr) return nullptr;
  if (!file->leaving_) file->Leave(env);
  file->environment_->control().Submit(env, new CloseOperation<AfuFile>(file), arguments[0]);
  return nullptr;
}

}  // namespace cxl

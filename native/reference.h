// SPDX-License-Identifier: Apache-2.0
// Objects shared between threads count their own references. (std::shared_ptr would bring in
// symbols of a C library newer than those the addon must run on, and so would operator new.)
#ifndef NODE_CXL_REFERENCE_H_
#define NODE_CXL_REFERENCE_H_

#include <stdlib.h>

#include <atomic>
#include <utility>

namespace cxl {

class Allocated {
 public:
  static void* operator new(size_t size) {
    void* memory = malloc(size);
    if (memory == nullptr) abort();
    return memory;
  }
  static void operator delete(void* memory) { free(memory); }
};

template <class T>
class Counted : public Allocated {
 public:
  Counted() = default;
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

  void Retain() { references_.fetch_add(1, std::memory_order_relaxed); }
  void Release() {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete static_cast<T*>(this);
  }

 private:
  std::atomic<unsigned> references_{0};
};

template <class T>
class Ref {
 public:
  Ref() = default;
  explicit Ref(T* object) : object_(object) {
    if (object_ != nullptr) object_->Retain();
  }
  Ref(const Ref& other) : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->Release();
  }

  T* get() const { return object_; }
  T* operator->() const { return object_; }
  T& operator*() const { return *object_; }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  T* object_ = nullptr;
};

}  // namespace cxl

#endif  // NODE_CXL_REFERENCE_H_

// SPDX-License-Identifier: Apache-2.0
// Napi::ObjectWrap with two additions. A method checks its receiver: an object of another class,
// of another add-on or of another copy of this one is a TypeError, where Napi::ObjectWrap would
// misread it. And only the addon can construct an object: the constructor takes a T::Init, which
// JavaScript cannot make.
#ifndef NODE_CXL_WRAP_H_
#define NODE_CXL_WRAP_H_

#include <napi.h>
#include <stdint.h>

#include <initializer_list>

#include "environment.h"
#include "errors.h"

namespace cxl {

// Each loaded copy of the addon has its own.
inline const char this_copy = 0;

inline napi_type_tag TagOf(uint64_t number) {
  return {reinterpret_cast<uintptr_t>(&this_copy), number};
}

// A class T derives from Wrap<T> and has
//   struct Init;                                  what an object is made from
//   static constexpr Class kClass;                its place among the constructors
//   T(const Napi::CallbackInfo&, Init*);          init is nullptr when an exception is pending
template <class T>
class Wrap : public Napi::ObjectWrap<T> {
 public:
  using Property = Napi::ClassPropertyDescriptor<T>;

  static void Define(Napi::Env env, const char* name, std::initializer_list<Property> properties) {
    Environment::Of(env).constructors[Index()] =
        Napi::Persistent(Napi::ObjectWrap<T>::DefineClass(env, name, properties));
  }

  // A new object; an empty value with an exception pending. What init owns is taken over only
  // when the object was made.
  template <class Init>
  static Napi::Value New(Napi::Env env, Init* init) {
    auto external = Napi::External<Init>::New(env, init);
    const Napi::FunctionReference& constructor = Environment::Of(env).constructors[Index()];
    // Neither can be made while the environment is ending.
    if (external.IsEmpty() || constructor.IsEmpty()) return Napi::Value();
    const napi_type_tag tag = TagOf(kInitTags + Index());
    external.TypeTag(&tag);
    const Napi::Value object = constructor.New({external});
    return env.IsExceptionPending() ? Napi::Value() : object;
  }

  // Called by Napi::ObjectWrap for each call of a method.
  static T* Unwrap(Napi::Object object) {
    const napi_type_tag tag = TagOf(Index());
    if (object.IsObject() && object.CheckTypeTag(&tag)) return Napi::ObjectWrap<T>::Unwrap(object);
    ThrowTypeError(object.Env(), "the receiver is not an object of this class of node-cxl");
    return nullptr;
  }

 protected:
  explicit Wrap(const Napi::CallbackInfo& info) : Napi::ObjectWrap<T>(info) {
    // Empty: the object could not be wrapped, since the environment is ending.
    if (this->IsEmpty()) return;
    const napi_type_tag tag = TagOf(Index());
    this->Value().TypeTag(&tag);
  }

  // What New() was given; nullptr when JavaScript called, with an exception pending, or when the
  // object could not be wrapped.
  template <class Init>
  Init* InitOf(const Napi::CallbackInfo& info) {
    if (this->IsEmpty()) return nullptr;
    const napi_type_tag tag = TagOf(kInitTags + Index());
    if (info[0].IsExternal()) {
      auto external = info[0].As<Napi::External<Init>>();
      if (external.CheckTypeTag(&tag)) return external.Data();
    }
    ThrowTypeError(info.Env(), "the classes of node-cxl have no public constructor");
    return nullptr;
  }

 private:
  static constexpr uint64_t kInitTags = static_cast<uint64_t>(Class::kCount);
  static constexpr size_t Index() { return static_cast<size_t>(T::kClass); }
};

}  // namespace cxl

#endif  // NODE_CXL_WRAP_H_

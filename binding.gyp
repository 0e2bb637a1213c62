{
  "targets": [
    {
      "target_name": "node_cxl",
      "conditions": [
        ["OS=='linux'", {
          "sources": ["<!@(node -p \"require('fs').readdirSync('native').filter(f=>f.endsWith('.cc')).map(f=>'native/'+f).join(' ')\")"],
          "include_dirs": ["<!(node -p \"require('node-addon-api').include_dir\")", "native"],
          "defines": [
            "NAPI_VERSION=8",
            "NODE_ADDON_API_DISABLE_CPP_EXCEPTIONS",
            "NODE_ADDON_API_DISABLE_DEPRECATED"
          ],
          "cflags": ["-fvisibility=hidden", "-Wall", "-Wextra", "-Werror", "-ffunction-sections", "-fdata-sections"],
          "cflags_cc!": ["-std=gnu++17", "-std=gnu++20", "-frtti"],
          "cflags_cc": ["-std=c++17", "-fno-exceptions", "-fno-rtti", "-fvisibility-inlines-hidden"],
          "ldflags": ["-Wl,-z,nodelete", "-Wl,-z,now", "-Wl,--gc-sections", "-static-libstdc++", "-static-libgcc"]
        }, {
          "type": "none"
        }],
        ["OS=='linux' and target_arch=='ppc64'", { "cflags": ["-mcpu=power8"] }]
      ]
    }
  ]
}

{
  "targets": [
    {
      "target_name": "node_cxl",
      "conditions": [
        ["OS=='linux'", {
          "sources": ["<!@(node -p \"require('fs').readdirSync('native').filter(f=>f.endsWith('.cc')).map(f=>'native/'+f).join(' ')\")"],
          "include_dirs": ["native"],
          "defines": ["NAPI_VERSION=8"],
          # Warnings are errors in a clone, not where a user's newer compiler knows more of them.
          "cflags": [
            "-fvisibility=hidden", "-Wall", "-Wextra", "-ffunction-sections", "-fdata-sections",
            "<!@(node -p \"require('fs').existsSync('test') ? '-Werror' : ''\")"
          ],
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

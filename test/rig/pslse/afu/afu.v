// SPDX-License-Identifier: Apache-2.0
//
// The memcpy AFU in AFU-directed mode, for PSLSE's top.v with a PSL8. What it does, its registers and its
// work elements are those of lib/mock/models/memcpy.ts; the injection registers those of test/README.md,
// as far as an AFU can do what they say: interrupts and data storage faults.
//
// One command to the PSL is under way at a time, for one context after the other.

module afu (
    output reg          ah_cvalid,
    output     [0:7]    ah_ctag,
    output              ah_ctagpar,
    output reg [0:12]   ah_com,
    output              ah_compar,
    output     [0:2]    ah_cabt,
    output reg [0:63]   ah_cea,
    output              ah_ceapar,
    output reg [0:15]   ah_cch,
    output reg [0:11]   ah_csize,
    input      [0:7]    ha_croom,
    input               ha_brvalid,
    input      [0:7]    ha_brtag,
    input               ha_brtagpar,
    input      [0:5]    ha_brad,
    output     [0:3]    ah_brlat,
    output reg [0:511]  ah_brdata,
    output     [0:7]    ah_brpar,
    input               ha_bwvalid,
    input      [0:7]    ha_bwtag,
    input               ha_bwtagpar,
    input      [0:5]    ha_bwad,
    input      [0:511]  ha_bwdata,
    input      [0:7]    ha_bwpar,
    input               ha_rvalid,
    input      [0:7]    ha_rtag,
    input               ha_rtagpar,
    input      [0:7]    ha_response,
    input      [0:8]    ha_rcredits,
    input      [0:1]    ha_rcachestate,
    input      [0:12]   ha_rcachepos,
    input               ha_mmval,
    input               ha_mmcfg,
    input               ha_mmrnw,
    input               ha_mmdw,
    input      [0:23]   ha_mmad,
    input               ha_mmadpar,
    input      [0:63]   ha_mmdata,
    input               ha_mmdatapar,
    output reg          ah_mmack,
    output reg [0:63]   ah_mmdata,
    output              ah_mmdatapar,
    input               ha_jval,
    input      [0:7]    ha_jcom,
    input               ha_jcompar,
    input      [0:63]   ha_jea,
    input               ha_jeapar,
    output reg          ah_jrunning,
    output reg          ah_jdone,
    output reg          ah_jcack,
    output     [0:63]   ah_jerror,
    output              ah_jyield,
    output              ah_tbreq,
    output              ah_paren,
    input               ha_pclock
);
  parameter PROCESSES = 4;
  parameter INTERRUPTS = 4;
  parameter CONTEXT_BITS = 2;

  // Jobs and what an LLCMD asks for.
  localparam JOB_START = 8'h90, JOB_RESET = 8'h80, JOB_LLCMD = 8'h45;
  localparam LLCMD_TERMINATE = 16'h0001, LLCMD_REMOVE = 16'h0002, LLCMD_ADD = 16'h0005;
  // Commands to the PSL.
  localparam READ = 13'h0A00, READ_PE = 13'h0A52, WRITE = 13'h0D00, INTREQ = 13'h0000,
             RESTART = 13'h0001;
  localparam DONE = 8'd0, AERROR = 8'd1, FLUSHED = 8'd6;
  // Work elements.
  localparam COPY = 6'd0, INTERRUPT = 6'd1, INCREMENT = 6'd4, COMPARE_AND_SWAP = 6'd5;
  localparam COMPLETE = 8'h80, ADDRESS_ERROR = 8'h20, INVALID_SOURCE = 8'h04, UNDEFINED = 8'h01;

  // No parity.
  assign ah_paren = 1'b0;
  assign ah_ctagpar = 1'b0;
  assign ah_compar = 1'b0;
  assign ah_ceapar = 1'b0;
  assign ah_brpar = 8'h00;
  assign ah_mmdatapar = 1'b0;
  assign ah_ctag = 8'h00;
  assign ah_cabt = 3'b000;
  assign ah_brlat = 4'h1;
  assign ah_jerror = 64'h0;
  assign ah_jyield = 1'b0;
  assign ah_tbreq = 1'b0;

  // Each process.
  reg        active [0:PROCESSES-1];
  reg        started [0:PROCESSES-1];  // its WED has been read
  reg        stopped [0:PROCESSES-1];
  reg [63:0] wed [0:PROCESSES-1];
  reg [15:0] element [0:PROCESSES-1];  // the next
  reg        wrap [0:PROCESSES-1];
  reg [63:0] timebase [0:PROCESSES-1];
  reg [63:0] inject [0:PROCESSES-1];  // COMMAND; 0: none
  reg [63:0] inject_value [0:PROCESSES-1];
  reg [63:0] inject_count [0:PROCESSES-1];
  reg [63:0] inject_done [0:PROCESSES-1];
  reg [63:0] configuration;
  reg [63:0] ticks;

  // The LLCMD that is to be acknowledged.
  reg        llcmd_pending;
  reg [15:0] llcmd;
  reg [15:0] llcmd_context;

  // The engine.
  localparam S_PICK = 0, S_WAIT = 1, S_PE = 2, S_ELEMENT = 3, S_COPY = 4, S_COPY_READ = 5,
             S_COPY_WRITTEN = 6, S_INTERRUPTED = 7, S_LOADED = 8, S_STORED = 9, S_STATUS = 10,
             S_STATUS_WRITTEN = 11, S_RESTARTED = 12, S_INJECT = 13, S_INJECTED = 14,
             S_INJECT_RESTARTED = 15, S_COMPARED = 16;
  reg [4:0]  state, after;
  reg [7:0]  response;
  reg [CONTEXT_BITS-1:0] pe;
  reg [0:1023] line;  // what was read last
  reg [0:1023] out;  // what is written next
  reg [0:255] work;
  reg [63:0] source, target;
  reg [15:0] left;
  reg [15:0] chunk;
  reg [7:0]  status;
  reg [5:0]  bit_number;
  reg [63:0] injecting;
  reg        failed;

  wire [63:0] queue = {wed[pe][63:12], 12'h000};
  wire [15:0] elements = {2'b00, wed[pe][11:0], 2'b00};
  wire [63:0] element_address = queue + {43'h0, element[pe], 5'h00};
  wire [0:255] fetched = element_of(line, element[pe][1:0]);
  wire [7:0]  command = fetched[0:7];
  wire [63:0] alignment = source | target | 64'd128;

  function [0:255] element_of(input [0:1023] bytes, input [1:0] number);
    element_of = bytes[number*256+:256];
  endfunction

  // The largest power of two that both addresses are multiples of, and that is left to copy.
  function [15:0] chunk_of(input [63:0] bits, input [15:0] bytes);
    integer n;
    reg found;
    begin
      chunk_of = 16'd1;
      found = 0;
      for (n = 0; n <= 7; n = n + 1) begin
        if (!found && (16'd1 << n) <= bytes) chunk_of = 16'd1 << n;
        if (bits[n]) found = 1;
      end
    end
  endfunction

  // A line whose bytes from the offset of `to` are those of `bytes` from the offset of `from`.
  function [0:1023] moved(input [0:1023] bytes, input [6:0] from, input [6:0] to);
    moved = (bytes << {from, 3'b000}) >> {to, 3'b000};
  endfunction

  task issue(input [12:0] what, input [63:0] address, input [11:0] size, input [4:0] next);
    begin
      ah_cvalid <= 1'b1;
      ah_com <= what;
      ah_cea <= address;
      ah_csize <= size;
      ah_cch <= {{(16 - CONTEXT_BITS){1'b0}}, pe};
      state <= S_WAIT;
      after <= next;
    end
  endtask

  // The data of a write is asked for in two halves, and given two cycles later.
  reg half;
  always @(posedge ha_pclock) begin
    half <= ha_brad[5];
    ah_brdata <= half ? out[512:1023] : out[0:511];
  end

  always @(posedge ha_pclock) begin
    if (ha_bwvalid) begin
      if (ha_bwad[5]) line[512:1023] <= ha_bwdata;
      else line[0:511] <= ha_bwdata;
    end
  end

  // top.v drives these at the clock's rising edge without a delay: between the edges they are stable.
  reg         mmval, mmcfg, mmrnw, mmdw, jval;
  reg  [0:23] mmad;
  reg  [0:63] mmdata, jea;
  reg  [0:7]  jcom;
  always @(negedge ha_pclock) begin
    mmval <= ha_mmval;
    mmcfg <= ha_mmcfg;
    mmrnw <= ha_mmrnw;
    mmdw <= ha_mmdw;
    mmad <= ha_mmad;
    mmdata <= ha_mmdata;
    jval <= ha_jval;
    jcom <= ha_jcom;
    jea <= ha_jea;
  end

  // Register accesses.
  wire [25:0] address = {mmad, 2'b00};
  wire        wide_area = address[25:16] == 10'd0;
  wire [9:0]  part = address[25:16] - 10'd1;
  wire [CONTEXT_BITS-1:0] owner = wide_area ? master : part[CONTEXT_BITS-1:0];
  wire        present = wide_area || part < PROCESSES;
  wire [15:0] offset = address[15:0] & 16'hFFF8;
  // Which context the master is, the AFU is not told: the lowest.
  reg [CONTEXT_BITS-1:0] master;
  integer m;
  always @* begin
    master = 0;
    for (m = PROCESSES - 1; m >= 0; m = m - 1) if (active[m]) master = m[CONTEXT_BITS-1:0];
  end

  function [63:0] descriptor(input [15:0] at);
    case (at)
      16'h0000: descriptor = {INTERRUPTS[15:0], PROCESSES[15:0], 16'd1, 16'h8004};
      16'h0020: descriptor = 64'h100;  // a configuration record
      16'h0028: descriptor = 64'h100;
      16'h0030: descriptor = 64'h03_00000000000010;  // per-process areas of 64 KiB
      16'h0038: descriptor = 64'h10000;
      16'h0040: descriptor = 64'h1000;  // an error buffer
      16'h0048: descriptor = 64'h1000;
      16'h0100: descriptor = 64'h14105043_00000000;  // 1014:4350
      16'h0108: descriptor = 64'h00000012_00000000;
      default: descriptor = 64'h0;
    endcase
  endfunction

  function [63:0] register_value(input [15:0] at, input wide);
    case (at)
      16'h0000: register_value = wide ? configuration : wed[owner];
      16'h0008: register_value = wide ? 64'h0 : {{(16 - CONTEXT_BITS){1'b0}}, owner, 48'h0};
      16'h0010: register_value = wide ? 64'h0 : {4'h0, stopped[owner], 59'h0};
      16'h0040: register_value = wide ? 64'h0 : timebase[owner];
      16'h1000: register_value = inject[owner];
      16'h1008: register_value = inject_value[owner];
      16'h1010: register_value = inject_count[owner];
      16'h1018: register_value = inject_done[owner];
      default: register_value = 64'h0;
    endcase
  endfunction

  wire [63:0] found = mmcfg ? descriptor(address[15:0] & 16'hFFF8)
                    : present ? register_value(offset, wide_area) : 64'h0;

  // The WED of a process that has just been added is still to be read: its register waits for it.
  reg         mm_waits;
  wire        added = active[owner] || (llcmd_pending && llcmd == LLCMD_ADD &&
                                        llcmd_context[CONTEXT_BITS-1:0] == owner);
  // So does a command to the injection registers, for the one before it to be accepted.
  wire        unready = !mmcfg && present &&
                        (mmrnw ? !wide_area && offset == 16'h0000 && added &&
                                 !(active[owner] && started[owner])
                               : offset == 16'h1000 && active[owner] && inject[owner] != 64'd0);

  integer p;
  always @(posedge ha_pclock) begin
    ah_cvalid <= 1'b0;
    ah_mmack <= 1'b0;
    ah_jdone <= 1'b0;
    ah_jcack <= 1'b0;
    ticks <= ticks + 64'd1;

    if (ha_rvalid) response <= ha_response;

    case (state)
      S_PICK: begin
        failed <= 1'b0;
        if (llcmd_pending) begin
          // Nothing of any context is under way.
          llcmd_pending <= 1'b0;
          ah_jcack <= 1'b1;
          if (llcmd == LLCMD_ADD) begin
            active[llcmd_context[CONTEXT_BITS-1:0]] <= 1'b1;
            started[llcmd_context[CONTEXT_BITS-1:0]] <= 1'b0;
            stopped[llcmd_context[CONTEXT_BITS-1:0]] <= 1'b0;
            element[llcmd_context[CONTEXT_BITS-1:0]] <= 16'd0;
            wrap[llcmd_context[CONTEXT_BITS-1:0]] <= 1'b0;
          end else begin
            active[llcmd_context[CONTEXT_BITS-1:0]] <= 1'b0;
            started[llcmd_context[CONTEXT_BITS-1:0]] <= 1'b0;
            // Not when a context is added: its program may have written to them by then.
            timebase[llcmd_context[CONTEXT_BITS-1:0]] <= 64'd0;
            inject[llcmd_context[CONTEXT_BITS-1:0]] <= 64'd0;
            inject_done[llcmd_context[CONTEXT_BITS-1:0]] <= 64'd0;
          end
        end else if (!active[pe]) pe <= pe + 1'b1;
        else if (!started[pe]) issue(READ_PE, 64'h0, 12'd128, S_PE);
        else if (inject[pe] != 64'd0) begin
          // Accepted: the program can write the next.
          injecting <= inject[pe];
          inject[pe] <= 64'd0;
          bit_number <= 6'd0;
          state <= S_INJECT;
        end else if (stopped[pe] || wed[pe][11:0] == 12'd0) pe <= pe + 1'b1;
        else issue(READ, element_address & ~64'd127, 12'd128, S_ELEMENT);
      end
      S_WAIT:
      if (ha_rvalid) state <= after;

      // The WED is in bytes 116 to 123, as the daemon's host stores it.
      S_PE: begin
        if (response == DONE) begin
          wed[pe] <= {line[984+:8], line[976+:8], line[968+:8], line[960+:8], line[952+:8],
                           line[944+:8], line[936+:8], line[928+:8]};
          started[pe] <= 1'b1;
        end else active[pe] <= 1'b0;
        state <= S_PICK;
      end

      S_ELEMENT: begin
        work <= fetched;
        status <= COMPLETE;
        source <= fetched[128:191];
        target <= fetched[192:255];
        left <= fetched[16:31];
        if (response != DONE) begin
          // The queue is not mapped. The program can map it and restart.
          stopped[pe] <= 1'b1;
          issue(RESTART, 64'h0, 12'd0, S_PICK);
        end else if (!command[7] || command[6] != wrap[pe]) begin
          if (configuration[61]) stopped[pe] <= 1'b1;
          pe <= pe + 1'b1;
          state <= S_PICK;
        end else begin
          case (command[5:0])
            COPY: state <= S_COPY;
            INTERRUPT: issue(INTREQ, {48'h0, fetched[16:31]}, 12'd0, S_INTERRUPTED);
            INCREMENT: issue(READ, fetched[128:191], 12'd4, S_LOADED);
            COMPARE_AND_SWAP:
            if ((fetched[32:39] != 8'h10 && fetched[32:39] != 8'h11) || fetched[253:255] != 3'd0) begin
              status <= UNDEFINED;
              state <= S_STATUS;
            end else issue(READ, fetched[192:255], 12'd8, S_COMPARED);
            default: begin
              status <= UNDEFINED;
              state <= S_STATUS;
            end
          endcase
        end
      end

      S_COPY:
      if (left == 16'd0) state <= S_STATUS;
      else begin
        chunk <= chunk_of(alignment, left);
        issue(READ, source, chunk_of(alignment, left), S_COPY_READ);
      end
      S_COPY_READ:
      if (response != DONE) failure;
      else begin
        out <= moved(line, source[6:0], target[6:0]);
        issue(WRITE, target, chunk[11:0], S_COPY_WRITTEN);
      end
      S_COPY_WRITTEN:
      if (response != DONE) failure;
      else begin
        source <= source + {48'h0, chunk};
        target <= target + {48'h0, chunk};
        left <= left - chunk;
        state <= S_COPY;
      end

      S_INTERRUPTED: begin
        if (response != DONE) status <= INVALID_SOURCE;
        state <= S_STATUS;
      end

      S_LOADED:
      if (response != DONE) failure;
      else begin
        out <= moved({word_of(line, source[6:0]) + 32'd1, 992'h0}, 7'd0, target[6:0]);
        issue(WRITE, target, 12'd4, S_STORED);
      end
      S_COMPARED:
      if (response != DONE) failure;
      else if ((long_of(line, target[6:0]) == work[64:127]) == (work[39] == 1'b1)) begin
        out <= moved({work[128:191], 960'h0}, 7'd0, target[6:0]);
        issue(WRITE, target, 12'd8, S_STORED);
      end else state <= S_STATUS;
      S_STORED:
      if (response != DONE) failure;
      else state <= S_STATUS;

      S_RESTARTED: begin
        status <= ADDRESS_ERROR;
        state <= S_STATUS;
      end
      S_STATUS: begin
        if (work[2:7] == INTERRUPT) stopped[pe] <= 1'b1;
        out <= moved({status, 1016'h0}, 7'd0, element_address[6:0] + 7'd1);
        issue(WRITE, element_address + 64'd1, 12'd1, S_STATUS_WRITTEN);
      end
      S_STATUS_WRITTEN: begin
        if (element[pe] + 16'd1 == elements) begin
          element[pe] <= 16'd0;
          wrap[pe] <= !wrap[pe];
        end else element[pe] <= element[pe] + 16'd1;
        pe <= pe + 1'b1;
        state <= S_PICK;
      end

      // Bits 63:56 are the command, the others its argument.
      S_INJECT:
      case (injecting[63:56])
        8'd1:
        if (bit_number == 6'd56) injected;
        else begin
          bit_number <= bit_number + 6'd1;
          if (injecting[bit_number]) issue(INTREQ, {58'h0, bit_number} + 64'd1, 12'd0, S_INJECT);
        end
        8'd2: issue(READ, inject_value[pe], 12'd1, S_INJECTED);
        default: injected;
      endcase
      S_INJECTED:
      if (response == AERROR || response == FLUSHED) issue(RESTART, 64'h0, 12'd0, S_INJECT_RESTARTED);
      else injected;
      S_INJECT_RESTARTED: injected;
      default: state <= S_PICK;
    endcase

    // After the engine: what a program writes meanwhile is not lost.
    mm_waits <= (mmval || mm_waits) && unready;
    if ((mmval || mm_waits) && !unready) begin
      ah_mmack <= 1'b1;
      ah_mmdata <= mmdw ? found : address[2] ? {2{found[31:0]}} : {2{found[63:32]}};
      if (!mmrnw && !mmcfg && present) begin
        case (offset)
          16'h0000: if (wide_area) configuration <= mmdata;
          16'h0018: if (!wide_area && mmdata[0]) stopped[owner] <= 1'b0;
          16'h0040: if (!wide_area) timebase[owner] <= ticks | 64'd1;
          16'h1000: inject[owner] <= mmdata;
          16'h1008: inject_value[owner] <= mmdata;
          16'h1010: inject_count[owner] <= mmdata;
          default: ;
        endcase
      end
    end

    if (jval) begin
      case (jcom)
        JOB_RESET: begin
          ah_jrunning <= 1'b0;
          ah_jdone <= 1'b1;
          state <= S_PICK;
          pe <= 0;
          llcmd_pending <= 1'b0;
          configuration <= 64'd0;
          for (p = 0; p < PROCESSES; p = p + 1) begin
            active[p] <= 1'b0;
            stopped[p] <= 1'b0;
            inject[p] <= 64'd0;
            inject_value[p] <= 64'd0;
            inject_count[p] <= 64'd0;
            inject_done[p] <= 64'd0;
          end
        end
        JOB_START: ah_jrunning <= 1'b1;
        JOB_LLCMD: begin
          llcmd_pending <= 1'b1;
          llcmd <= jea[0:15];
          llcmd_context <= jea[48:63];
        end
        default: ;
      endcase
    end
  end

  function [31:0] word_of(input [0:1023] bytes, input [6:0] at);
    word_of = bytes[at*8+:32];
  endfunction

  function [63:0] long_of(input [0:1023] bytes, input [6:0] at);
    long_of = bytes[at*8+:64];
  endfunction

  // The command could not be carried out: all others are flushed until a restart.
  task failure;
    if (response == AERROR || response == FLUSHED) issue(RESTART, 64'h0, 12'd0, S_RESTARTED);
    else state <= S_RESTARTED;
  endtask

  task injected;
    begin
      inject_done[pe] <= inject_done[pe] + 64'd1;
      pe <= pe + 1'b1;
      state <= S_PICK;
    end
  endtask

  initial begin
    ah_cvalid = 0;
    ah_mmack = 0;
    ah_jrunning = 0;
    ah_jdone = 0;
    ah_jcack = 0;
    mm_waits = 0;
    state = S_PICK;
    pe = 0;
    llcmd_pending = 0;
    ticks = 1;
    configuration = 0;
  end
endmodule

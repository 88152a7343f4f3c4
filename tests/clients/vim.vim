vim9script
# Vim's own channels speak the LSP dialect with pillion: no plugin, only job_start() with the mode "lsp".
#
# By its nature Vim numbers its requests itself, from 1, and cannot answer a request whose id is a string: what pillion asks
# is answered by hand, as a raw message. ch_evalexpr() takes its answer out of turn, before messages that came ahead of it are
# handed over; so what has an order is asked by ch_sendexpr() with a callback.

const MODEL = 'scripted:' .. expand('<sfile>:p:h') .. '/turns.json'
const CLIENT = {name: 'Vim', version: string(v:versionlong)}
const SESSION = 'a-stranger'

var updates: list<dict<any>> = []
var asked: list<string> = []
var decision = ''
var exit_code = -1

def Say(text: string)
  writefile(split(text, "\n"), '/dev/stderr', 'a')
enddef

def Same(found: any, wanted: any, what: string)
  if type(found) != type(wanted) || found != wanted
    throw $"{what}\n  expected: {string(wanted)}\n  found:    {string(found)}"
  endif
enddef

def Wait(what: string, Holds: func(): bool)
  const start = reltime()
  while !Holds()
    if reltimefloat(reltime(start)) > 20
      throw $'waited 20 s for {what}'
    endif
    sleep 5m
  endwhile
enddef

# What pillion sends without being asked: its updates, and its questions.
def Received(channel: channel, message: dict<any>)
  if message.method == 'session/update'
    updates->add(message.params)
  elseif message.method == 'session/request_permission'
    asked->add(message.params.toolCall.toolCallId)
    const option = message.params.options->copy()->filter((_, option) => option.kind == decision)[0]
    Answer(channel, message.id, {outcome: {outcome: 'selected', optionId: option.optionId}})
  endif
enddef

def Answer(channel: channel, id: any, result: dict<any>)
  const body = json_encode({jsonrpc: '2.0', id: id, result: result})
  ch_sendraw(channel, $"Content-Length: {len(body)}\r\n\r\n{body}")
enddef

const job = job_start([$PILLION, '--model', MODEL], {
  in_mode: 'lsp', out_mode: 'lsp', err_mode: 'nl',
  out_cb: Received,
  err_cb: (_, line) => Say(line),
  exit_cb: (_, code) => {
    exit_code = code
  },
})

# The whole message that answers a request: `result` or `error` is in it.
def Request(method: string, params: any): dict<any>
  const message = ch_evalexpr(job, {method: method, params: params}, {timeout: 20000})
  if type(message) != v:t_dict || message->empty()
    throw $'no answer of {method} within 20 s'
  endif
  return message
enddef

def Result(method: string, params: any): any
  const message = Request(method, params)
  if message->has_key('error')
    throw $'{method} failed: {string(message.error)}'
  endif
  return message.result
enddef

# Sends a prompt, calls `Meanwhile` with its id, and waits for the answer.
def PromptWith(text: string, Meanwhile: func(number)): dict<any>
  var answer: dict<any> = {}
  const params = {sessionId: SESSION, prompt: [{type: 'text', text: text}]}
  const sent = ch_sendexpr(job, {method: 'session/prompt', params: params}, {callback: (_, message) => {
    answer = message
  }})
  Meanwhile(sent.id)
  Wait('the answer of the prompt', () => !answer->empty())
  if answer->has_key('error')
    throw $'the prompt failed: {string(answer.error)}'
  endif
  return answer.result
enddef

def Prompt(text: string): dict<any>
  return PromptWith(text, (_) => {
  })
enddef

def Chunks(of: list<dict<any>>): list<dict<any>>
  return of->copy()->filter((_, params) => params.update.sessionUpdate == 'agent_message_chunk')
enddef

def OfTurn(result: dict<any>): list<dict<any>>
  return updates->copy()->filter((_, update) => update._meta.pillion->get('turnId', '') == result.turnId)
enddef

def Text(result: dict<any>): string
  return Chunks(OfTurn(result))->mapnew((_, params) => params.update.content.text)->join('')
enddef

# Runs a prompt, calls `Stop` with its id while the model writes, and returns the prompt's answer.
def StoppedBy(Stop: func(number)): dict<any>
  const before = len(Chunks(updates))
  var prompt = 0
  const result = PromptWith('Stop me', (id) => {
    prompt = id
    Wait('the first text', () => len(Chunks(updates)) > before)
    Stop(id)
  })
  Same(result.stopReason, 'cancelled', 'the stopReason')
  Same(result.diagnostics.abort.prompt_request.id, prompt, 'the prompt that was aborted')
  return result
enddef

def Asker(abort: dict<any>): list<any>
  return [abort.request.method, abort.request.id, abort.request.client, abort.request.transport,
    abort.cause, abort.initiator, abort->get('source', '')]
enddef

def Begin()
  const said = Result('initialize', {processId: getpid(), capabilities: {}, clientInfo: CLIENT})
  Same(said.serverInfo.name, 'pillion', "the server's name")
  Same(said.capabilities.experimental.pillion.protocolVersion, 1, "the protocol's version")
  ch_sendexpr(job, {method: 'initialized', params: {}})
  Same(Result('session/new', {sessionId: SESSION, cwd: getcwd()}).sessionId, SESSION, 'the session')
enddef

def APromptStreams()
  const result = Prompt('Hello')
  Same(OfTurn(result)[-1]._meta.pillion.seq, result.lastUpdate, 'the last update, when the answer was there')
  Same(result.stopReason, 'end_turn', 'the stopReason')
  Same(Text(result), 'Hello, stranger: this comes in nine small pieces.', 'the text')
  Same(len(OfTurn(result)), 9, 'the pieces')
enddef

def ARequestStops()
  var cancel: dict<any> = {}
  const result = StoppedBy((_) => {
    cancel = Request('session/cancel', {sessionId: SESSION, initiator: 'user', source: 'stranger.stop'})
  })
  Same(result.sentence, 'The turn was cancelled by the user (stranger.stop).', 'the sentence')
  Same(cancel.result.outcome, 'cancelled', 'the outcome')
  Same(cancel.result.abort, result.diagnostics.abort, 'the record in both answers')
  Same(Asker(cancel.result.abort), ['session/cancel', cancel.id, CLIENT, 'stdio_lsp', 'client_cancel', 'user', 'stranger.stop'], 'who asked')
enddef

def ANotificationStops()
  const result = StoppedBy((_) => {
    ch_sendexpr(job, {method: 'session/cancel', params: {sessionId: SESSION}})
  })
  Same(Asker(result.diagnostics.abort), ['session/cancel', v:null, CLIENT, 'stdio_lsp', 'client_cancel', 'unknown', ''], 'who asked')
enddef

def TheIdStops()
  const result = StoppedBy((id) => {
    ch_sendexpr(job, {method: '$/cancelRequest', params: {id: id}})
  })
  Same(Asker(result.diagnostics.abort), ['$/cancelRequest', v:null, CLIENT, 'stdio_lsp', 'rpc_cancel', 'unknown', ''], 'who asked')
enddef

def PermissionIsAsked()
  decision = 'allow_once'
  Same(Text(Prompt('Write')), 'It is written.', 'the text after a yes')
  Same(readfile('allowed.txt'), ['by a stranger'], 'the file')
  decision = 'reject_once'
  Same(Text(Prompt('Write')), 'As you like.', 'the text after a no')
  Same(filereadable('denied.txt'), 0, 'the other file')
  Same(asked, ['allowed', 'denied'], 'what was asked about')
enddef

def WhatIsUnknownIsRefused()
  Same(Request('stranger/things', {}).error.code, -32601, "the error's code")
enddef

def TheExportNamesTheClient()
  const whole = Result('session/export', {sessionId: SESSION}).export
  const askers = whole.diagnostics.aborts->mapnew((_, abort) => [abort.request.method, abort.request.client])
  Same(askers, [['session/cancel', CLIENT], ['session/cancel', CLIENT], ['$/cancelRequest', CLIENT]], 'who stopped the turns')
  Same(updates->mapnew((_, update) => update._meta.pillion.seq), range(1, len(updates)), 'the numbers of the updates')
enddef

def ItLeaves()
  Same(Result('shutdown', v:null), v:null, 'the answer of shutdown')
  ch_sendexpr(job, {method: 'exit'})
  Wait('the end of pillion', () => exit_code >= 0)
  Same(exit_code, 0, 'the exit code')
enddef

for Chapter in [Begin, APromptStreams, ARequestStops, ANotificationStops, TheIdStops, PermissionIsAsked,
    WhatIsUnknownIsRefused, TheExportNamesTheClient, ItLeaves]
  try
    Chapter()
  catch
    Say($"{string(Chapter)}: {v:exception} at {v:throwpoint}")
    cquit
  endtry
endfor
quitall!

-- A client of pillion in thirty lines, for Neovim 0.11: `vim.lsp` is the transport.
local M = {}

--- @param hooks { show: fun(text: string), allow: (fun(title: string): boolean), ended: fun(code: integer) }
--- @param ready fun(problem: string?, session: table?)
function M.open(command, cwd, hooks, ready)
  local handlers = {}
  handlers["session/update"] = function(_, params)
    local update = params.update
    if update.sessionUpdate == "agent_message_chunk" and update.content.type == "text" then hooks.show(update.content.text) end
  end
  handlers["session/request_permission"] = function(_, params)
    -- A handler is a coroutine: `allow` may yield until the person has answered.
    local kind = hooks.allow(params.toolCall.title) and "allow_once" or "reject_once"
    local option = vim.iter(params.options):find(function(option) return option.kind == kind end)
    return { outcome = { outcome = "selected", optionId = option.optionId } }
  end
  local function on_init(client, said)
    local version = vim.tbl_get(said.capabilities, "experimental", "pillion", "protocolVersion")
    if version ~= 1 then return ready(("this needs version 1 of pillion's protocol; %s has %s"):format(command[1], version)) end
    client:request("session/new", { cwd = cwd }, function(problem, new)
      if problem then return ready(problem.message) end
      local function ask(method, params, done) client:request(method, vim.tbl_extend("error", { sessionId = new.sessionId }, params), done) end
      ready(nil, {
        prompt = function(text, done) ask("session/prompt", { prompt = { { type = "text", text = text } } }, done) end,
        stop = function(source, done) ask("session/cancel", { initiator = "user", source = source }, done) end,
        close = function() client:stop() end,
      })
    end)
  end
  local config = { name = "my-plugin", cmd = command, handlers = handlers, on_init = on_init, on_exit = hooks.ended }
  vim.lsp.start(config, { attach = false, reuse_client = function() return false end })
end

return M

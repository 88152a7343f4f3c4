;;; emacs.el --- Emacs's own jsonrpc.el speaks the LSP dialect with pillion  -*- lexical-binding: t; -*-

;; jsonrpc.el is the library under Eglot.  It numbers its requests from 1.  By
;; its nature it has no cancellation: what it no longer waits for it forgets.
;; The notification that cancels by id is sent here as any other, with the id
;; that was seen on its way out.

(require 'jsonrpc)
(require 'cl-lib)

(defconst story-model
  (concat "scripted:" (expand-file-name "turns.json" (file-name-directory load-file-name))))
(defconst story-client `(:name "Emacs" :version ,emacs-version))
(defconst story-session "a-stranger")

(defvar story-updates nil "What came with `session/update', newest first.")
(defvar story-asked nil "The tool calls that were asked about, newest first.")
(defvar story-decision nil "The kind of answer that a question gets.")
(defvar story-sent nil "Newest first: (METHOD . ID) of each request.")

;;; Asking and comparing

(defclass story-connection (jsonrpc-process-connection) ())

(cl-defmethod jsonrpc-connection-send :before ((_ story-connection) &key id method &allow-other-keys)
  (when (and id method) (push (cons method id) story-sent)))

(defun story-id (method)
  "The id of the newest request for METHOD."
  (cdr (assq method story-sent)))

(defun story-same (found wanted what)
  (unless (equal found wanted)
    (error "%s\n  expected: %S\n  found:    %S" what wanted found)))

(defun story-wait (what holds)
  "Lets messages in until HOLDS returns something, and returns that."
  (cl-loop with deadline = (+ (float-time) 20)
           for found = (funcall holds) until found
           do (when (> (float-time) deadline) (error "Waited 20 s for %s" what))
           (accept-process-output nil 0.05)
           finally return found))

(defun story-in (object &rest path)
  (dolist (key path object) (setq object (plist-get object key))))

(defun story-notified (_connection method params)
  (when (eq method 'session/update) (push params story-updates)))

(defun story-requested (_connection method params)
  (unless (eq method 'session/request_permission) (jsonrpc-error :code -32601 :message "Not here"))
  (push (story-in params :toolCall :toolCallId) story-asked)
  (let ((option (cl-find story-decision (plist-get params :options)
                         :key (lambda (option) (plist-get option :kind)) :test #'equal)))
    `(:outcome (:outcome "selected" :optionId ,(plist-get option :optionId)))))

(defvar story-pillion
  (story-connection
   :name "pillion"
   :notification-dispatcher #'story-notified
   :request-dispatcher #'story-requested
   :process (lambda ()
              (make-process :name "pillion" :command (list (getenv "PILLION") "--model" story-model)
                            :connection-type 'pipe :coding 'utf-8-emacs-unix :noquery t
                            :stderr (get-buffer-create "*pillion stderr*")))))

(defun story-request (method params)
  (jsonrpc-request story-pillion method params :timeout 20))

(defun story-prompt-params (text)
  `(:sessionId ,story-session :prompt [(:type "text" :text ,text)]))

(defun story-prompt (text)
  (story-request :session/prompt (story-prompt-params text)))

(defun story-of-turn (result)
  "The updates of the turn of RESULT, oldest first."
  (cl-loop for update in (reverse story-updates)
           when (equal (story-in update :_meta :pillion :turnId) (plist-get result :turnId)) collect update))

(defun story-chunks (updates)
  (cl-remove-if-not (lambda (update) (equal (story-in update :update :sessionUpdate) "agent_message_chunk")) updates))

(defun story-text (result)
  (mapconcat (lambda (update) (story-in update :update :content :text)) (story-chunks (story-of-turn result)) ""))

(defun story-stopped-by (stop)
  "Runs a prompt, calls STOP while the model writes, and returns the prompt's answer."
  (let ((before (length (story-chunks story-updates))) answer)
    (jsonrpc-async-request story-pillion :session/prompt (story-prompt-params "Stop me") :timeout 20
                           :success-fn (lambda (result) (setq answer result))
                           :error-fn (lambda (failure) (error "The prompt failed: %S" failure)))
    (story-wait "the first text" (lambda () (> (length (story-chunks story-updates)) before)))
    (funcall stop)
    (story-wait "the answer of the prompt" (lambda () answer))
    (story-same (plist-get answer :stopReason) "cancelled" "the prompt's stopReason")
    (story-same (story-in answer :diagnostics :abort :prompt_request :id) (story-id :session/prompt)
                "the prompt that was aborted")
    answer))

(defun story-asker (abort)
  (list (story-in abort :request :method) (story-in abort :request :id) (story-in abort :request :client)
        (story-in abort :request :transport) (plist-get abort :cause) (plist-get abort :initiator) (plist-get abort :source)))

;;; The story

(defun story-begin ()
  (let ((said (story-request :initialize `(:processId ,(emacs-pid) :capabilities ,(make-hash-table) :clientInfo ,story-client))))
    (story-same (story-in said :serverInfo :name) "pillion" "the server's name")
    (story-same (story-in said :capabilities :experimental :pillion :protocolVersion) 1 "the protocol's version"))
  (jsonrpc-notify story-pillion :initialized (make-hash-table))
  (let ((new (story-request :session/new `(:sessionId ,story-session :cwd ,(directory-file-name default-directory)))))
    (story-same (plist-get new :sessionId) story-session "the session")))

(defun story-a-prompt-streams ()
  (let ((result (story-prompt "Hello")))
    (story-same (story-in (car (last (story-of-turn result))) :_meta :pillion :seq) (plist-get result :lastUpdate)
                "the last update, when the answer was there")
    (story-same (plist-get result :stopReason) "end_turn" "the stopReason")
    (story-same (story-text result) "Hello, stranger: this comes in nine small pieces." "the text")
    (story-same (length (story-of-turn result)) 9 "the pieces")))

(defun story-a-request-stops ()
  (let* (cancel
         (result (story-stopped-by
                  (lambda ()
                    (setq cancel (story-request :session/cancel `(:sessionId ,story-session :initiator "user" :source "stranger.stop")))))))
    (story-same (plist-get result :sentence) "The turn was cancelled by the user (stranger.stop)." "the sentence")
    (story-same (plist-get cancel :outcome) "cancelled" "the outcome")
    (story-same (plist-get cancel :abort) (story-in result :diagnostics :abort) "the record in both answers")
    (story-same (story-asker (plist-get cancel :abort))
                (list "session/cancel" (story-id :session/cancel) story-client "stdio_lsp" "client_cancel" "user" "stranger.stop")
                "who asked")))

(defun story-a-notification-stops ()
  (let ((result (story-stopped-by (lambda () (jsonrpc-notify story-pillion :session/cancel `(:sessionId ,story-session))))))
    (story-same (story-asker (story-in result :diagnostics :abort))
                (list "session/cancel" nil story-client "stdio_lsp" "client_cancel" "unknown" nil) "who asked")))

(defun story-the-id-stops ()
  (let ((result (story-stopped-by
                 (lambda () (jsonrpc-notify story-pillion :$/cancelRequest `(:id ,(story-id :session/prompt)))))))
    (story-same (story-asker (story-in result :diagnostics :abort))
                (list "$/cancelRequest" nil story-client "stdio_lsp" "rpc_cancel" "unknown" nil) "who asked")))

(defun story-permission-is-asked ()
  (setq story-decision "allow_once")
  (story-same (story-text (story-prompt "Write")) "It is written." "the text after a yes")
  (story-same (with-temp-buffer (insert-file-contents "allowed.txt") (buffer-string)) "by a stranger\n" "the file")
  (setq story-decision "reject_once")
  (story-same (story-text (story-prompt "Write")) "As you like." "the text after a no")
  (story-same (file-exists-p "denied.txt") nil "the other file")
  (story-same story-asked '("denied" "allowed") "what was asked about"))

(defun story-what-is-unknown-is-refused ()
  (story-same (condition-case refused (story-request :stranger/things (make-hash-table))
                (jsonrpc-error (alist-get 'jsonrpc-error-code (cddr refused))))
              -32601 "the error's code"))

(defun story-the-export-names-the-client ()
  (let ((whole (plist-get (story-request :session/export `(:sessionId ,story-session)) :export)))
    (story-same (cl-map 'list (lambda (abort) (list (story-in abort :request :method) (story-in abort :request :client)))
                        (story-in whole :diagnostics :aborts))
                `(("session/cancel" ,story-client) ("session/cancel" ,story-client) ("$/cancelRequest" ,story-client))
                "who stopped the turns"))
  (story-same (mapcar (lambda (update) (story-in update :_meta :pillion :seq)) (reverse story-updates))
              (number-sequence 1 (length story-updates)) "the numbers of the updates"))

(defun story-it-leaves ()
  (story-same (story-request :shutdown nil) nil "the answer of shutdown")
  (jsonrpc-notify story-pillion :exit nil)
  (let ((process (jsonrpc--process story-pillion)))
    (story-wait "the end of pillion" (lambda () (not (process-live-p process))))
    (story-same (process-exit-status process) 0 "the exit code")))

(dolist (chapter '(story-begin
                   story-a-prompt-streams
                   story-a-request-stops
                   story-a-notification-stops
                   story-the-id-stops
                   story-permission-is-asked
                   story-what-is-unknown-is-refused
                   story-the-export-names-the-client
                   story-it-leaves))
  (condition-case failure (funcall chapter)
    (error (message "%s: %s" chapter (error-message-string failure)) (kill-emacs 1))))

;;; emacs.el ends here

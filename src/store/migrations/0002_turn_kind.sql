-- Runs of a user's own shell commands are turns too. What older versions wrote, and go on writing, are prompts.
ALTER TABLE turn ADD COLUMN kind TEXT NOT NULL DEFAULT 'prompt';

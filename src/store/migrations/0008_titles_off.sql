-- Nothing wrote titles in the process that ran the turn. What older versions wrote, and go on writing, says nothing of that.
ALTER TABLE turn ADD COLUMN titles_off INTEGER NOT NULL DEFAULT 0;

-- The lock that the owner holds while it lives. Older versions leave both columns alone: a name begins with the pid and the start
-- time of the process that it belongs to, so that it is not taken for the lock of a process that came behind that one.
ALTER TABLE session ADD COLUMN owner_lock TEXT;
ALTER TABLE turn ADD COLUMN owner_lock TEXT;

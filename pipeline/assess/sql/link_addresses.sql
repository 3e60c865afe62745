SELECT value FROM common WHERE kind = 'ip'

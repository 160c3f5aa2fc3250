module ponosbus

go 1.19
